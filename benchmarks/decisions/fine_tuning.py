"""Does fine-tuning the last blocks pay? With 300 labels of RSSCN7 by 4.6 points, with 100 not yet (one seed each).

    python -m benchmarks.decisions.fine_tuning [--sets rsscn7,...] [--labels 100,200,400] [--seeds 2] [--rate 0.001]

Training images only. Of each set, some images are drawn at random to label and to measure on; each seed labels others
of them. Shown are the accuracies in per cent of the linear probe, as it serves, and of a probe on the embeddings of the
fine-tuned encoder, which learned from the same labels; their expected calibration errors in points (15 bins; Guo et
al., ICML 2017); how often the cross-validation lets the fine-tuned encoder serve; and the processor time of one
training in seconds. What the frozen blocks give is kept in `build/embeddings`.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.accuracy import images
from benchmarks.by_hand import finish
from benchmarks.kept_runs import KeptRuns
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.active_learning.tuning_trial import Trial
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.learning.fine_tuning import TUNING
from pt4al_backend.sampling.uncertainty import softmax
from pt4al_backend.store.checkpoints import CheckpointFile

RUNS = KeptRuns(Path(__file__).parent / "results" / "fine_tuning.json", "python -m benchmarks.decisions.fine_tuning")
EMBEDDED = Path(__file__).parents[2] / "build" / "embeddings"
SETS = {
    "rsscn7": "rsscn7-tuning",
    "neu_det": "neu_det-tuning",
    "cifar10": "cifar10-tuning:10000",
    "brain_mri": "brain_mri-tuning",
}
MEASURED = 500
"""Images of each set to measure on."""
SPARE = 100
"""Images to draw from beside those that are labelled."""
BINS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default="rsscn7,neu_det,cifar10")
    parser.add_argument("--labels", default="100,200,400")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rate", type=float, default=TUNING.learning_rate, help="the highest learning rate")
    parser.add_argument("--epochs", type=int, default=TUNING.epochs)
    parser.add_argument("--quick", action="store_true", help="without the cross-validation")
    options = parser.parse_args()
    recipe = replace(TUNING, learning_rate=options.rate, epochs=options.epochs)
    for name in options.sets.split(","):
        for labels in map(int, options.labels.split(",")):
            row = f"{name}, {labels} labels, rate {options.rate:g}, {options.epochs} epochs"
            missing = [seed for seed in range(options.seeds) if not RUNS.has(row, seed)]
            if missing:
                drawn = Drawn(name, labels)
                for seed in missing:
                    found = drawn.compared(seed, recipe, cross_validate=not options.quick)
                    RUNS.add({"row": row, "seed": seed, **found})
    show()


class Drawn:
    """Images of a set, by what the frozen blocks give of them."""

    def __init__(self, name: str, labels: int) -> None:
        pool, test = images(SETS[name])
        self._name, self._labels, self._classes = name, labels, len(pool.classes)
        self.encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=_no_network, dense=False)
        self._maps, self._targets = self._kept("pool", pool, labels + SPARE)
        self._test_maps, self._test_targets = self._kept("test", test, MEASURED)
        self._vectors, self._test_vectors = (self._embedded(maps, {}) for maps in (self._maps, self._test_maps))

    def compared(self, seed: int, recipe, *, cross_validate: bool) -> dict[str, object]:
        """The probe and the fine-tuned encoder on the same random labels."""
        members = np.random.default_rng(seed).permutation(len(self._targets))[: self._labels]
        targets, maps, output = self._targets[members], self._maps[members], self._output
        probe = learning.fit_head(self._vectors[members], targets, output, pool=self._vectors)
        started = time.process_time()
        arrays = finish(
            learning.fine_tune(self.encoder, maps, [targets], [output], seed=seed, device="cpu", recipe=recipe)
        )
        seconds = time.process_time() - started
        test, pool = self._embedded(self._test_maps, arrays), self._embedded(self._maps, arrays)
        tuned = learning.fit_head(pool[members], targets, output, pool=pool)
        found: dict[str, object] = {"seconds": round(seconds, 1)}
        if cross_validate:
            with tempfile.TemporaryDirectory() as directory:
                trial = self._trial(members, seed, CheckpointFile(Path(directory) / "checkpoint"))
                finish(trial.cross_validate())
                tuned = tuned.cooled(trial.temperatures["class"])
                found |= {"serves": trial.is_better, "cross_validated": [round(each, 4) for each in trial.accuracies]}
        for figures, head, vectors in (("probe", probe, self._test_vectors), ("tuned", tuned, test)):
            logits = head.logits(vectors)
            found[figures] = round(float((logits.argmax(axis=1) == self._test_targets).mean()), 4)
            found[f"{figures}_calibration"] = round(calibration_error(logits, self._test_targets), 4)
        return found

    def _trial(self, members: np.ndarray, seed: int, checkpoint: CheckpointFile) -> Trial:
        n = len(members)
        return Trial(
            self.encoder,
            checkpoint,
            {},
            seed,
            "cpu",
            members,
            (Question("class", SINGLE, tuple(map(str, range(self._classes)))),),
            [self._targets[members]],
            self._maps[members],
            self._vectors[members],
            self._vectors,
            np.full((n, 2), np.nan),
            [np.full((n, self._classes), np.nan, np.float32)],
        )

    @property
    def _output(self) -> learning.Output:
        return learning.Output(learning.SINGLE, self._classes)

    def _kept(self, part: str, these: LabelledImages, count: int) -> tuple[np.ndarray, np.ndarray]:
        """What the frozen blocks give of `count` images, in a random order, and their classes."""
        order = np.random.default_rng(0).permutation(len(these))[:count]
        path = EMBEDDED / f"{self._name}-{part}-frozen.npy"
        known = np.load(path, mmap_mode="r") if path.exists() else None
        if known is None or len(known) < len(order):
            path.parent.mkdir(parents=True, exist_ok=True)
            done = 0 if known is None else len(known)
            new = self._frozen(these, order[done:])
            known = new if known is None else np.concatenate([known, new])
            np.save(path, known)
        return np.array(known[: len(order)]), these.targets[order]

    def _frozen(self, these: LabelledImages, positions: np.ndarray) -> np.ndarray:
        name = f"{learning.FROZEN}{learning.DEFAULT_ENCODER}"
        frozen, parts = learning.make_encoder(name, stored=_no_network, dense=False), []
        for some in np.array_split(positions, -(-len(positions) // 16)):
            pixels = np.stack([_pixels(these.read(k), frozen.input_size) for k in some.tolist()])
            parts.append(frozen.embed_pixels(pixels, device="cpu")[0])
        return np.concatenate(parts)

    def _embedded(self, maps: np.ndarray, arrays: learning.Arrays) -> np.ndarray:
        return np.concatenate([*learning.embed_maps(self.encoder, arrays, maps, device="cpu")])


def calibration_error(logits: np.ndarray, targets: np.ndarray) -> float:
    """Expected calibration error: how far the probability that is shown is from the share that is right."""
    chances = softmax(logits)
    shown, right = chances.max(axis=1), chances.argmax(axis=1) == targets
    bins = np.minimum((shown * BINS).astype(int), BINS - 1)
    gaps = [abs((right[bins == k] - shown[bins == k]).sum()) for k in range(BINS)]
    return float(np.sum(gaps) / len(targets))


def _pixels(file: bytes, side: int) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file)).convert("RGB").resize((side, side), Image.Resampling.BICUBIC))


def _no_network(name: str) -> learning.Weights:
    raise SystemExit(f"{name} belongs to a project.")


def show() -> None:
    rows = []
    for row in dict.fromkeys(run["row"] for run in RUNS.all()):
        runs = RUNS.of(row)
        gains = np.array([100 * (run["tuned"] - run["probe"]) for run in runs])
        error = f" ± {gains.std(ddof=1) / len(gains) ** 0.5:.1f}" if len(gains) > 1 else ""
        serves = [run["serves"] for run in runs if "serves" in run]
        rows.append(
            [
                row,
                str(len(runs)),
                *(spread([100 * run[figure] for run in runs]) for figure in ("probe", "tuned")),
                f"{gains.mean():+.1f}{error}",
                f"{sum(serves)} of {len(serves)}",
                *(spread([100 * run[f"{figure}_calibration"] for run in runs]) for figure in ("probe", "tuned")),
                f"{np.mean([run['seconds'] for run in runs]):.0f}",
            ]
        )
    head = ["set", "n", "probe", "fine-tuned", "difference", "serves", "calibration error, probe", "fine-tuned", "s"]
    RUNS.write_table(head, rows)


if __name__ == "__main__":
    main()
