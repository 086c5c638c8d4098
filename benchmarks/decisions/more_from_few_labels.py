"""Does anything help a probe with few labels? Self-training: 3 points on three of five sets; own embeddings hardly.

    python -m benchmarks.decisions.more_from_few_labels [--sets cifar10] [--seeds 10] [--own neu_det brain_mri]

Training images only, some hundreds to thousands of each set, embedded by the built-in encoder. On Brain MRI, where
self-training loses, the probe is right about half of the images; a rule that tells such sets from the labels alone has
to come first. Five images of each class are labelled at random; shown is the accuracy in per cent on the others, which
everything but `probe` sees without labels, and the difference from `probe`, paired by seed. NEU-DET is embedded in f32,
the other sets in bf16 on another machine:

* `probe`: what the backend fits.
* `self-training`: a probe on the labels, and on its own predictions of which it is 95 % sure, three times.
* `label spreading`: over ten nearest neighbours (Zhou et al., "Learning with Local and Global Consistency", 2004).
* `own images`: a probe on these embeddings beside those of the set's own rotation network, as
  `PT4AL_ENCODER=rotation` trains it on all of the images, once for all choices of labels. It gives a tenth of the
  variance, half of it, or all. Only of the sets named by `--own`, as it takes minutes; embeddings are kept in
  `build/embeddings`.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.by_hand import NoCheckpoint, finish
from benchmarks.decisions.encoder_inputs import SETS, embedded
from benchmarks.decisions.pretrained_queries import EMBEDDED
from benchmarks.decisions.rotation_head import Halves, encoder_at
from benchmarks.kept_runs import KeptRuns
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.sampling.uncertainty import softmax

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "more_from_few_labels.json",
    "python -m benchmarks.decisions.more_from_few_labels",
)
PER_CLASS = 5
SURE = 0.95
TIMES = 3
NEIGHBOURS, ALPHA = 10, 0.2
PROBE, SELF, SPREADING = "probe", "self-training", "label spreading"
OWN_SHARES = {"own images, a tenth": 0.1, "own images, half": 0.5, "own images alone": 1.0}
"""Row -> the part of the embeddings' variance that comes from the project's own network."""


def predictions(
    row: str, features: np.ndarray, own: np.ndarray | None, targets: np.ndarray, classes: int
) -> np.ndarray:
    """(n,) the predicted classes.

    Args:
        row: of the table.
        features: (n, D) of all images.
        own: (n, d) those of the own network.
        targets: (n,) the label of each image, -1 without.
        classes: their number.
    """
    if row == SPREADING:
        from sklearn.semi_supervised import LabelSpreading

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # images that no label reaches
            model = LabelSpreading(kernel="knn", n_neighbors=NEIGHBOURS, alpha=ALPHA).fit(features, targets)
        return np.asarray(model.transduction_)
    if row in OWN_SHARES:
        assert own is not None
        parts = ((features, 1 - OWN_SHARES[row]), (own, OWN_SHARES[row]))
        features = np.concatenate([_of_variance(part, share) for part, share in parts if share], axis=1)
    output, known = learning.Output(learning.SINGLE, classes), np.flatnonzero(targets >= 0)
    logits = learning.fit_head(features[known], targets[known], output, pool=features[:1000]).logits(features)
    for _ in range(TIMES if row == SELF else 0):
        probabilities = softmax(logits)
        believed = np.where(targets >= 0, targets, probabilities.argmax(axis=1))
        used = np.flatnonzero((targets >= 0) | (probabilities.max(axis=1) >= SURE))
        logits = learning.fit_head(features[used], believed[used], output, pool=features[:1000]).logits(features)
    return logits.argmax(axis=1)


def _of_variance(features: np.ndarray, variance: float) -> np.ndarray:
    """The same (n, D), centred, and all dimensions together with this variance."""
    centred = features - features.mean(axis=0)
    return centred * np.sqrt(variance / np.square(centred).sum(axis=1).mean())


def some_of_each(targets: np.ndarray, seed: int) -> np.ndarray:
    """(n,) the labels of `PER_CLASS` images of each class, -1 for the others."""
    draw = np.random.default_rng(seed)
    chosen = [draw.permutation(np.flatnonzero(targets == k))[:PER_CLASS] for k in range(targets.max() + 1)]
    labels = np.full(len(targets), -1)
    labels[np.concatenate(chosen)] = targets[np.concatenate(chosen)]
    return labels


def kept(name: str, made: Callable[[], np.ndarray]) -> np.ndarray:
    """An array of `build/embeddings`, made if it is not there yet."""
    path = EMBEDDED / f"{name}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, made())
    return np.load(path).astype(np.float32)


def own_embeddings(halves: Halves) -> np.ndarray:
    """(n, d) by a rotation network that is trained on all images of the set."""
    everything = np.arange(len(halves.images))
    recipe = learning.recipes("fast", device="cpu", pool=len(everything), image_size=halves.stored_side).pretext
    network = finish(
        learning.train_pretext(
            halves.pixels, everything, recipe=recipe, seed=0, device="cpu", checkpoint=NoCheckpoint()
        )
    )
    encoder = learning.network_encoder(network)
    return np.concatenate([found for _, found, _ in encoder.embed(halves.pixels, everything, device="cpu")])


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS)
    parser.add_argument("--own", nargs="*", default=["neu_det", "brain_mri", "rsscn7"], choices=SETS)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    for name in options.sets:
        rows = [PROBE, SELF, SPREADING, *(OWN_SHARES if name in options.own else ())]
        missing = [(row, seed) for row in rows for seed in range(options.seeds) if not RUNS.has(f"{name}: {row}", seed)]
        if not missing:
            continue
        halves = Halves(name)
        images = halves.images
        features = kept(f"{images.digest}-usual", partial(embedded, images, encoder_at(0), "squash"))
        own: np.ndarray | None = None
        if any(row in OWN_SHARES for row, _ in missing):
            own = kept(f"{images.digest}-own", partial(own_embeddings, halves))
        for row, seed in missing:
            labels = some_of_each(images.targets, seed)
            found = predictions(row, features, own, labels, len(images.classes))
            accuracy = 100 * float((found == images.targets)[labels < 0].mean())
            RUNS.add({"row": f"{name}: {row}", "seed": seed, "accuracy": round(accuracy, 2)})
    table = []
    for row in dict.fromkeys(run["row"] for run in RUNS.all()):
        runs = {run["seed"]: run["accuracy"] for run in RUNS.of(row)}
        beside = {run["seed"]: run["accuracy"] for run in RUNS.of(f"{row.partition(':')[0]}: {PROBE}")}
        gains = [runs[seed] - beside[seed] for seed in runs if seed in beside]
        error = np.std(gains, ddof=1) / len(gains) ** 0.5
        gain = "" if row.endswith(PROBE) else f"{np.mean(gains):+.1f} ± {error:.1f}"
        table.append([row, str(len(runs)), spread([*runs.values()]), gain])
    RUNS.write_table(["set", "n", "accuracy, %", "minus the probe's"], table)


if __name__ == "__main__":
    main()
