"""Which ranking finds wrong labels first? The model times its neighbours: 96 % of them in the first 10 % (CIFAR-10).

    python -m benchmarks.label_errors [--sets cifar10 ...] [--seeds 5]

Of each set some images are drawn at random and labelled; 5 % of the labels are wrong: another class at random or, in
the rows that say so, the class that the model confuses with the true one most. Shown is how many of these are among the
first 10 %, in per cent. Everything was chosen on the sets in `CHOOSING`; those in `SHOWN` share no image with them.
`balanced` draws Caltech-101 as the backend does, by its default query strategy in ten rounds, instead of at random.

Images are embedded by the built-in encoder as it ships and kept in `build/embeddings`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import datasets
from benchmarks.accuracy_tables import TABLES
from benchmarks.by_hand import finish
from benchmarks.decisions.encoder_inputs import embedded, no_network
from benchmarks.decisions.pretrained_queries import BALANCED, EMBEDDED, Pool, Source, candidates_of
from benchmarks.kept_runs import KeptRuns, timed
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.assessment import label_errors
from pt4al_backend.datasets.known_images import LabelledImages

RUNS = KeptRuns(Path(__file__).parent / "results" / "label_errors.json", "python -m benchmarks.label_errors")
WRONG, FIRST = 0.05, 0.1
"""The share of labels that are wrong, and the share that is looked at."""


def caltech101(part: int) -> LabelledImages:
    """Part 0: 4,242 photographs, 1: 1,405 others. None is a test image of `accuracy`."""
    return datasets.caltech101(30)[0].split(0.25, seed=101)[part]


@dataclass(frozen=True)
class Set:
    images: Callable[[], LabelledImages]
    labels: int = 0
    """Drawn by each seed; 0: all images."""
    similar: bool = False
    """Whether the wrong label is the class that the model confuses with the true one most."""
    chosen: bool = False
    """Whether the default query strategy draws the images."""
    multiple: bool = False
    """Whether several classes can be there: of a wrong label one class is added or missing."""


CHOOSING = {
    "NEU-DET": Set(lambda: datasets.neu_det()[0]),
    "RSSCN7": Set(lambda: datasets.rsscn7()[0]),
    "Brain MRI": Set(lambda: datasets.brain_mri()[0]),
    "CIFAR-10, other training images": Set(lambda: datasets.cifar10_for_encoders(2500), 2000),
    "Caltech-101, other photographs": Set(lambda: caltech101(1), 1130),
    "RSSCN7, confused classes": Set(lambda: datasets.rsscn7()[0], similar=True),
    "CIFAR-10, other training images, confused classes": Set(
        lambda: datasets.cifar10_for_encoders(2500), 2000, similar=True
    ),
    "Caltech-101, other photographs, confused classes": Set(lambda: caltech101(1), 1130, similar=True),
}
SHOWN = {
    "CIFAR-10": Set(lambda: datasets.cifar10(4000)[0], 2000),
    "Caltech-101": Set(lambda: caltech101(0), 1130),
    "Caltech-101, 2,000 labels": Set(lambda: caltech101(0), 2000),
    "Caltech-101, drawn by `balanced`": Set(lambda: caltech101(0), 1130, chosen=True),
    "CIFAR-10, confused classes": Set(lambda: datasets.cifar10(4000)[0], 2000, similar=True),
    "Caltech-101, confused classes": Set(lambda: caltech101(0), 1130, similar=True),
    "NEU-DET, several defects per image": Set(lambda: datasets.neu_det()[0], multiple=True),
}
SETS = CHOOSING | SHOWN
SHIPS, ALONE, NEIGHBOURS = "model and neighbours", "self-confidence", "neighbours"
RANKINGS = (
    SHIPS,
    "without `DOUBT`",
    "their product",
    ALONE,
    "normalised margin",
    "confidence-weighted entropy",
    NEIGHBOURS,
)


def qualities(labels: np.ndarray, p: np.ndarray, embeddings: np.ndarray) -> dict[str, np.ndarray]:
    """Name of another ranking -> (l,) low for labels that look wrong; p is (l, classes) out-of-fold."""
    rows, classes = np.arange(len(labels)), p.shape[1]
    given, others = p[rows, labels], p.copy()
    others[rows, labels] = -1
    entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(axis=1)
    shares = label_errors.neighbour_shares(np.eye(classes)[labels], embeddings)
    product, mean = p * (shares + 0.01), (p + shares) / 2
    of_given, of_others = mean[rows, labels], mean.copy()
    of_others[rows, labels] = 0
    return {
        ALONE: given,
        "normalised margin": given - others.max(axis=1),
        "confidence-weighted entropy": -entropy / np.maximum(given, 1e-12),
        NEIGHBOURS: shares[rows, labels],
        "their product": product[rows, labels] / product.sum(axis=1),
        "without `DOUBT`": of_given / (of_given + of_others.max(axis=1)),
    }


def play(name: str, features: np.ndarray, images: LabelledImages, seed: int) -> dict[str, object]:
    """One run: what each ranking finds."""
    of, classes = SETS[name], len(images.classes)
    truth = several_defects() if of.multiple else images.targets
    rows = drawn(of, features, images.targets, classes, seed)
    output = learning.Output(learning.MULTIPLE if of.multiple else learning.SINGLE, classes)
    x, y = features[rows], truth[rows]

    def out_of_fold(labels: np.ndarray) -> np.ndarray:
        return finish(learning.out_of_fold_probabilities(x, labels, output, pool=features))

    random = np.random.default_rng(seed)
    wrong = random.permutation(len(rows))[: round(WRONG * len(rows))]
    labels = y.copy()
    if of.multiple:
        labels[wrong, random.integers(0, classes, len(wrong))] ^= 1
    elif of.similar:
        p = out_of_fold(y)
        p[np.arange(len(y)), y] = -1
        labels[wrong] = p[wrong].argmax(axis=1)
    else:
        labels[wrong] = (y[wrong] + random.integers(1, classes, len(wrong))) % classes
    p, fitting = timed(out_of_fold, labels)
    judge = label_errors.errors_of_any_classes if of.multiple else label_errors.errors_of_one_class
    found, ranking = timed(judge, labels, p, x)
    is_wrong = np.isin(np.arange(len(rows)), wrong)
    orders = {SHIPS: found.positions}
    if of.multiple:
        orders[ALONE] = judge(labels, p).positions
    else:
        orders |= {key: np.argsort(value, kind="stable") for key, value in qualities(labels, p, x).items()}
    errors = is_wrong[found.positions[found.errors]]
    predicted = (p > 0.5) if of.multiple else p.argmax(axis=1)
    return {
        "labels": len(rows),
        "accuracy": round(float((predicted == y).mean()), 4),
        "found": {key: round(found_first(is_wrong[order]), 4) for key, order in orders.items()},
        "average_precision": {key: round(average_precision(is_wrong[order]), 4) for key, order in orders.items()},
        "errors": int(found.errors.sum()),
        "errors_precision": round(float(errors.mean()), 4) if len(errors) else None,
        "errors_recall": round(float(errors.sum() / len(wrong)), 4),
        "seconds": [round(fitting, 2), round(ranking, 2)],
    }


def drawn(of: Set, features: np.ndarray, targets: np.ndarray, classes: int, seed: int) -> np.ndarray:
    """Positions of the labelled images."""
    if not of.chosen:
        return np.random.default_rng(seed).permutation(len(targets))[: of.labels or len(targets)]
    table = TABLES["caltech101"]
    pool = Pool(features, targets, features, targets, classes)
    rows: np.ndarray = np.empty(0, np.int64)
    labelled, head = np.zeros(len(targets), dtype=bool), None
    for k in range(table.cycles):
        source = Source(pool, rows, head)
        candidates = candidates_of(pool, np.arange(len(targets)), labelled, source, BALANCED, table, k, seed)
        query = BALANCED.query_of(k)(candidates, table.query_size)
        rows = np.concatenate([rows, candidates.serving_order(query)[: table.query_size]])
        labelled[rows] = True
        output = learning.Output(learning.SINGLE, classes)
        head = learning.fit_head(features[rows], targets[rows], output, pool=features)
    return rows


def several_defects() -> np.ndarray:
    """(n, classes) of 0 and 1: which defects have a box in each training image of NEU-DET."""
    described = json.loads((datasets.data_dir() / "neu_det" / "annotations.json").read_text())
    files = {each["file"]: each["id"] for each in described["images"] if each["split"] == "train"}
    numbers = [files[name] for name in sorted(files, key=datasets.series_and_number)]  # as `neu_det` does
    boxes = {(each["image_id"], each["category_id"]) for each in described["annotations"]}
    classes = [each["id"] for each in described["categories"]]
    return np.array([[(number, which) in boxes for which in classes] for number in numbers], dtype=np.int8)


def found_first(wrong: np.ndarray) -> float:
    """The share of the wrong labels among the first; (l,) whether each is wrong, in the order in which they come."""
    return float(wrong[: round(FIRST * len(wrong))].sum() / wrong.sum())


def average_precision(wrong: np.ndarray) -> float:
    """The mean, over the wrong labels, of the share of wrong ones among those shown up to each."""
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1))[wrong].mean())


def features_of(images: LabelledImages) -> np.ndarray:
    """(n, D)"""
    encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=False)
    path = EMBEDDED / f"{images.digest}-{encoder.input_size}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, embedded(images, encoder, "squash"))
    return np.load(path)


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for name in options.sets:
        missing = [seed for seed in range(options.seeds) if not RUNS.has(name, seed)]
        if missing:
            images = SETS[name].images()
            features = features_of(images)
            for seed in missing:
                RUNS.add({"row": name, "seed": seed, **play(name, features, images, seed)})
    show()


def show() -> None:
    rows = []
    for name in SETS:
        runs = RUNS.of(name)
        if not runs:
            continue
        found = [
            spread([100 * run["found"][key] for run in runs]) if key in runs[0]["found"] else "" for key in RANKINGS
        ]
        called = "/".join(
            f"{100 * np.mean([run[key] for run in runs]):.0f}" for key in ("errors_precision", "errors_recall")
        )
        accuracy = spread([100 * run["accuracy"] for run in runs])
        chosen_on = "chosen on" if name in CHOOSING else ""
        rows.append([name, chosen_on, f"{runs[0]['labels']:,}", str(len(runs)), accuracy, *found, called])
    RUNS.write_table(["set", "", "labels", "n", "accuracy", *RANKINGS, "errors: precision/recall"], rows)


if __name__ == "__main__":
    main()
