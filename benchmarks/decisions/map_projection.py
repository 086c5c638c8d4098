"""Does t-SNE make a better map? Yes: 75 instead of 42 % of the nearest images on it have the same class (CIFAR-10).

    python -m benchmarks.decisions.map_projection [--sets cifar10,caltech101,neu_det,rsscn7] [--seeds 3]

Embeddings by the default encoder, as it is. The figure is the share of the ten nearest images on the map that have the
image's class: `embeddings` is the same without a map. `landmarks`: t-SNE sees 1,000 of the images, and the others are
placed among these. Seconds are processor time of one thread; placing the images is counted, embedding them is not.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks import datasets
from benchmarks.decisions.pretrained_queries import embedded
from benchmarks.kept_runs import KeptRuns, timed
from benchmarks.tables import spread
from pt4al_backend.assessment import projection
from pt4al_backend.assessment.projection import Neighbourhoods, Plane
from pt4al_backend.datasets.known_images import LabelledImages

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "map_projection.json", "python -m benchmarks.decisions.map_projection"
)
IMAGES, NEAREST, FEW = 3_000, 10, 1_000
"""Most images of a set, how many neighbours count, and how many landmarks `landmarks` has."""
SETS: dict[str, Callable[[], LabelledImages]] = {
    "cifar10": lambda: datasets.cifar10(IMAGES)[0],
    "caltech101": lambda: datasets.caltech101(10)[0],
    "neu_det": lambda: datasets.neu_det()[0],
    "rsscn7": lambda: datasets.rsscn7()[0],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for name in options.sets.split(","):
        if not all(RUNS.has(f"{name}, {how}", seed) for how in ("t-SNE", "landmarks") for seed in range(options.seeds)):
            measure(name, options.seeds)
    rows = [[name, *(shown(f"{name}, {how}") for how in HOW)] for name in SETS]
    RUNS.write_table(["set", *HOW], rows)


def measure(name: str, seeds: int) -> None:
    """Measure each map of a set for each seed: of the images, and of the arrangement."""
    images = SETS[name]()
    for seed in range(seeds):
        chosen = np.random.default_rng(seed).permutation(len(images))[:IMAGES]
        these = images.take(np.sort(chosen))
        embeddings = embedded(these, 0, 0)
        for how, make in HOW.items():
            places, seconds = timed(make, embeddings, seed)
            figures = {"same_class": same_class(places, these.targets), "seconds": seconds, "images": len(these)}
            RUNS.add({"row": f"{name}, {how}", "seed": seed, **figures})


def with_few_landmarks(embeddings: np.ndarray, seed: int) -> np.ndarray:
    """Places (n, 2) by t-SNE of `FEW` images."""
    with mock.patch.object(projection, "LANDMARKS", FEW):
        return Neighbourhoods.of(embeddings, seed=seed).place(embeddings)


HOW: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "plane": lambda embeddings, _seed: Plane.of(embeddings).place(embeddings),
    "t-SNE": lambda embeddings, seed: Neighbourhoods.of(embeddings, seed=seed).place(embeddings),
    "landmarks": with_few_landmarks,
    "embeddings": lambda embeddings, _seed: embeddings.astype(np.float32),
}


def same_class(places: np.ndarray, targets: np.ndarray) -> float:
    """The share of the nearest images that have the same class, given (n, d) places."""
    from sklearn.neighbors import NearestNeighbors

    near = NearestNeighbors(n_neighbors=NEAREST + 1).fit(places).kneighbors(places, return_distance=False)[:, 1:]
    return float((targets[near] == targets[:, None]).mean())


def shown(row: str) -> str:
    """Per cent, and seconds."""
    runs = RUNS.of(row)
    if not runs:
        return ""
    seconds = spread([run["seconds"] for run in runs], 0)
    return f"{spread([100 * run['same_class'] for run in runs])} ({seconds} s)"


if __name__ == "__main__":
    main()
