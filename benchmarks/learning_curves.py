"""Whole learning curves, for `benchmarks.forecast`. Of chosen images, a cross-validation is 24 points too low (n = 10).

    python -m benchmarks.learning_curves [--sets RSSCN7 ...] [--strategies balanced random] [--seeds 5]

Each seed draws 60 % of a set as the pool. The others measure the truth, the accuracy of the probe on images like those
of the pool. Labels are given in rounds of ten, later of a tenth of the labels, until all of the pool is labelled. After
each round up to `MEASURED` labels there is what the backend measures on its own: the cross-validated estimate and, as
soon as there are held-out images, the estimate on these. Embeddings are those of the built-in encoder as it ships, kept
in `build/embeddings`; it is not fine-tuned. Curves are kept in `results/learning_curves.json`.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks import datasets
from benchmarks.accuracy_tables import Table
from benchmarks.decisions.pretrained_queries import ROWS, Pool, Source, candidates_of
from benchmarks.kept_runs import KeptRuns
from benchmarks.label_errors import features_of
from pt4al_backend import learning
from pt4al_backend.active_learning.hold_out import LEAST, wanted
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.learning.linear_probe import FOLDS, HeadFit, calibrated_temperature, folds
from pt4al_backend.sampling.strategy import Strategy
from pt4al_backend.sampling.uncertainty import softmax

RUNS = KeptRuns(Path(__file__).parent / "results" / "learning_curves.json", "python -m benchmarks.learning_curves")
POOL = 0.6
"""The share of a set that can be labelled."""
VALIDATION = 0.05
"""The default of the setting."""
COMPONENTS = 128
FIRST, GROWTH, MEASURED, LATER = 10, 0.1, 600, 0.25
"""Labels of a round at least, the share by which labels grow, up to how many the backend measures, the growth then."""


@dataclass(frozen=True)
class Set:
    parts: Callable[[], tuple[LabelledImages, ...]]
    choosing: bool
    """Whether constants are chosen on it; the others are only reported."""
    classes: Callable[[np.ndarray], np.ndarray] = lambda targets: targets
    """Other classes than those of the images (n,)."""
    ratio: float = 1
    """How many times as many images the first class has as the last, as in `datasets.thinned`."""


def digits() -> LabelledImages:
    """The 1,797 digits of scikit-learn, 8 x 8 px."""
    from sklearn.datasets import load_digits

    found = load_digits()

    def read(position: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray((found.images[position] * (255 / 16)).astype(np.uint8)).save(file, "PNG")
        return file.getvalue()

    return LabelledImages(tuple(map(str, found.target_names)), found.target.astype(np.int64), read, files="digits")


def some_of_caltech101() -> LabelledImages:
    """2,000 photographs, drawn at random."""
    images = datasets.caltech101(30)[0]
    return images.take(np.random.default_rng(0).permutation(len(images))[:2000])


SETS = {
    "CIFAR-10": Set(lambda: datasets.cifar10_for_tuning(3000)[:1], True),
    "CIFAR-10, animals or vehicles": Set(
        lambda: datasets.cifar10_for_tuning(3000)[:1], True, lambda targets: np.isin(targets, (0, 1, 8, 9)) * 1
    ),
    "CIFAR-10, imbalanced": Set(lambda: datasets.cifar10_for_tuning(3000)[:1], True, ratio=20),
    "Brain MRI": Set(datasets.brain_mri, True),
    "digits": Set(lambda: (digits(),), True),
    "RSSCN7": Set(datasets.rsscn7, False),
    "NEU-DET": Set(datasets.neu_det, False),
    "Caltech-101": Set(lambda: (some_of_caltech101(),), False),
}


@dataclass(frozen=True)
class Embedded:
    """A set, ready for simulations."""

    features: np.ndarray
    """(n, D)"""
    targets: np.ndarray
    """(n,)"""

    @classmethod
    def of(cls, of: Set) -> Embedded:
        parts = of.parts()
        features = np.concatenate([features_of(part) for part in parts])
        targets = of.classes(np.concatenate([part.targets for part in parts]))
        kept = _thinned(targets, of.ratio)
        return cls(features[kept], targets[kept])

    def drawn(self, seed: int) -> Pool:
        order, n = np.random.default_rng(seed).permutation(len(self.targets)), round(POOL * len(self.targets))
        pool, test = order[:n], order[n:]
        x, y = self.features.astype(np.float32), self.targets
        mean = x[pool].mean(axis=0)
        components = np.linalg.eigh(np.cov(x[pool], rowvar=False))[1][:, -COMPONENTS:].astype(np.float32)
        x = (x - mean) @ components
        return Pool(x[pool], y[pool], x[test], y[test], int(y.max()) + 1)


def _thinned(targets: np.ndarray, ratio: float) -> np.ndarray:
    """Positions; classes become exponentially imbalanced."""
    counts = np.bincount(targets)
    kept = [
        np.flatnonzero(targets == k)[: round(count * ratio ** (-k / (len(counts) - 1)))]
        for k, count in enumerate(counts.tolist())
    ]
    return np.sort(np.concatenate(kept))


def simulate(pool: Pool, strategy: Strategy, seed: int) -> dict[str, object]:
    """One curve: accuracies, rounded, and how many images they were measured on."""
    n, output = len(pool.targets), learning.Output(learning.SINGLE, pool.classes)
    order, held_out = np.empty(0, np.int64), np.empty(0, np.int64)
    labelled, head, temperature = np.zeros(n, dtype=bool), None, 1.0
    random = np.random.default_rng([seed, 1])
    labels, truth, crossed, checked, confidence = [], [], [], [], []
    turn = 0
    while labelled.sum() < n:
        known = int(labelled.sum())
        size = min(max(FIRST, int((GROWTH if known < MEASURED else LATER) * known)), n - known)
        missing = min(max(wanted(known, VALIDATION) - len(held_out), 0), size)
        new = random.permutation(np.flatnonzero(~labelled))[:missing]
        held_out, labelled[new] = np.concatenate([held_out, new]), True
        if size > missing:
            members = np.setdiff1d(np.arange(n), held_out)
            table = Table("", "", cycles=1, query_size=size - missing)
            source = Source(pool, order, head)
            candidates = candidates_of(pool, members, labelled, source, strategy, table, turn, seed)
            query = strategy.query_of(turn)(candidates, size - missing)
            chosen = members[candidates.serving_order(query)[: size - missing]]
            order, labelled[chosen] = np.concatenate([order, chosen]), True
        x, y = pool.embeddings[order], pool.targets[order]
        fit = HeadFit.of(x, y, output, pool=pool.embeddings)
        labels.append(int(labelled.sum()))
        if labels[-1] <= MEASURED:
            logits = _out_of_fold(fit)
            temperature = calibrated_temperature(logits, y, output)
        head = _head(fit).cooled(temperature)
        if labels[-1] <= MEASURED:
            sure = softmax(head.logits(pool.embeddings[~labelled])).max(axis=1)
            confidence.append(round(float(sure.mean()), 4))
        truth.append(_right(head.logits(pool.test_embeddings).argmax(axis=1), pool.test_targets))
        if labels[-1] <= MEASURED:
            crossed.append([_right(logits.argmax(axis=1), y), len(y)])
            if len(held_out) >= LEAST:
                guesses = head.logits(pool.embeddings[held_out]).argmax(axis=1)
                checked.append([labels[-1], _right(guesses, pool.targets[held_out]), len(held_out)])
        turn += 1
    return {
        "pool": n,
        "test": len(pool.test_targets),
        "classes": pool.classes,
        "labels": labels,
        "truth": truth,
        "crossed": [[count, *each] for count, each in zip(labels, crossed, strict=False)],
        "held_out": checked,
        "confidence": confidence,
    }


def _head(fit: HeadFit) -> learning.Head:
    """What `learning.fit_head` returns, without its calibration."""
    weight, bias = fit.fitted(torch.ones(len(fit.labels), dtype=torch.bool))
    weight = (weight if fit.basis is None else fit.basis @ weight) / fit.scaling.scale
    return learning.Head(weight.numpy(), (bias - fit.scaling.mean @ weight).numpy())


def _out_of_fold(fit: HeadFit) -> np.ndarray:
    """(n, classes) logits, as in `learning.out_of_fold_probabilities`."""
    fold, logits = torch.from_numpy(folds(len(fit.labels))), torch.empty(len(fit.labels), fit.classes)
    for k in range(FOLDS):
        logits[fold == k] = fit.logits_of(fold == k)
    return logits.numpy()


def _right(guesses: np.ndarray, targets: np.ndarray) -> float:
    return round(float((guesses == targets).mean()), 4)


def main() -> None:
    """Simulate what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS)
    parser.add_argument("--strategies", nargs="*", default=["balanced", "random"], choices=ROWS)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.sets:
        rows = [(row, k) for k in range(options.seeds) for row in options.strategies]
        missing = [(row, k) for row, k in rows if not RUNS.has(f"{name}, {row}", k)]
        embedded = Embedded.of(SETS[name]) if missing else None
        for row, seed in missing:
            assert embedded is not None
            curve = simulate(embedded.drawn(seed), ROWS[row].strategy, seed)
            RUNS.add({"row": f"{name}, {row}", "seed": seed, **curve})


if __name__ == "__main__":
    main()
