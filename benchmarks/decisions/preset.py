"""In the preset `fast`, the pretrained start matters most; twice the steps would add 2 to 3 points.

The shipped recipe, and variants that differ in one thing.

    python -m benchmarks.decisions.preset [--seeds 3]

200 and 1,000 random labels of 5,000 CIFAR-10 training images (20,000 to 24,999), measured on 5,000 other training
images (40,000 to 44,999): test images are not used. The accuracy is that of the linear probe on the trained network's
embeddings, which gives the backend's predictions. `results/preset.json` holds every run; existing runs are not
repeated, and several processes may share the work, one seed each (`--only-seed`).
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import datasets
from benchmarks.by_hand import NoCheckpoint, Pixels, finish
from benchmarks.kept_runs import KeptRuns, timed
from benchmarks.tables import spread
from pt4al_backend import learning

CLASSES = learning.Output("single", 10)
RUNS = KeptRuns(Path(__file__).parent / "results" / "preset.json", "python -m benchmarks.decisions.preset")
POOL = np.arange(5_000)
TEST = np.arange(5_000, 10_000)
LABELS = (200, 1_000)

# name -> changes of the pretext recipe, and of the main recipe
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as shipped": ({}, {}),
    "from scratch": ({}, {"init": None}),
    "no mixup": ({}, {"mixup": False}),
    "no colour changes in the main task": ({}, {"recolour": 0.0}),
    "no crops and flips in the main task": ({}, {"augment": False}),
    "learning rate 0.05": ({}, {"learning_rate": 0.05}),
    "learning rate 0.2": ({}, {"learning_rate": 0.2}),
    "half the main steps": ({}, {"epochs": 20, "least_steps": 125}),
    "twice the main steps": ({}, {"epochs": 80, "least_steps": 500, "most_steps": 2_000}),
    "no colour changes in the pretext task": ({"recolour": 0.0}, {}),
    "pretext batches of 64, learning rate 0.1": ({"batch": 64, "learning_rate": 0.1, "most_steps": 900}, {}),
    "pretext learning rate 0.1": ({"learning_rate": 0.1}, {}),
    "half the pretext steps": ({"most_steps": 900}, {}),
    "twice the pretext steps": ({"most_steps": 3_600, "epochs": 30}, {}),
    "width 12": ({"width": 12}, {"width": 12}),
    "width 24": ({"width": 24}, {"width": 24}),
}


class Labelled(Pixels):
    """The pool and the images to measure on, with their classes."""

    def __init__(self) -> None:
        pool, test = datasets.cifar10_for_tuning(len(POOL))
        super().__init__(np.concatenate([datasets.pixels_of(pool), datasets.pixels_of(test)]))
        self.targets = np.concatenate([pool.targets, test.targets[: len(TEST)]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only-seed", type=int)
    parser.add_argument("--rows", help="comma-separated; all by default")
    options = parser.parse_args()
    seeds = range(options.seeds) if options.only_seed is None else [options.only_seed]
    rows = options.rows.split(",") if options.rows else list(ROWS)
    pixels = Labelled()
    for seed in seeds:
        networks: dict[str, tuple[learning.Weights, float]] = {}
        for name in rows:
            pretext_changes, main_changes = ROWS[name]
            if RUNS.has(name, seed):
                continue
            key = json.dumps(pretext_changes)
            if key not in networks:
                networks[key] = timed(pretext, pixels, pretext_changes, seed)
            RUNS.add({"row": name, "seed": seed} | measure(pixels, *networks[key], main_changes, seed))
    show()


def pretext(pixels: Labelled, changes: dict[str, Any], seed: int) -> learning.Weights:
    recipe = replace(recipes().pretext, **{"epochs": 15, **changes})
    return finish(
        learning.train_pretext(pixels, POOL, recipe=recipe, seed=seed, device="cpu", checkpoint=NoCheckpoint())
    )


def measure(
    pixels: Labelled, network: learning.Weights, seconds: float, changes: dict[str, Any], seed: int
) -> dict[str, Any]:
    init = changes.get("init", network)
    recipe = replace(recipes().main, **{name: value for name, value in changes.items() if name != "init"})
    results: dict[str, Any] = {"pretext_seconds": round(seconds, 1)}
    for count in LABELS:
        rows = np.random.default_rng(seed).permutation(POOL)[:count]
        weights, spent = timed(main_task, pixels, rows, recipe, init, seed)
        head = learning.fit_head(features(weights, pixels, rows), pixels.targets[rows], CLASSES)
        predicted = head.logits(features(weights, pixels, TEST)).argmax(axis=1)
        results[str(count)] = {
            "accuracy": float((predicted == pixels.targets[TEST]).mean()),
            "seconds": round(spent, 1),
        }
    return results


def main_task(
    pixels: Labelled, rows: np.ndarray, recipe: learning.MainRecipe, init: learning.Weights | None, seed: int
) -> learning.Weights:
    targets = [pixels.targets[rows]]
    return finish(
        learning.train_main(pixels, rows, [CLASSES], targets, recipe=recipe, init=init, seed=seed, device="cpu")
    )


def features(weights: learning.Weights, pixels: Labelled, rows: np.ndarray) -> np.ndarray:
    return np.concatenate([part for _, part, _ in learning.network_encoder(weights).embed(pixels, rows, device="cpu")])


def recipes() -> learning.Recipe:
    return learning.recipes("fast", device="cpu", pool=len(POOL), image_size=32)


def show() -> None:
    rows = []
    for name in ROWS:
        runs = RUNS.of(name)
        if runs:
            cells = [spread([100 * run[str(count)]["accuracy"] for run in runs]) for count in LABELS]
            cells.append(f"{statistics.mean(run['1000']['seconds'] for run in runs):.0f}")
            cells.append(f"{statistics.mean(run['pretext_seconds'] for run in runs):.0f}")
            rows.append([name, str(len(runs)), *cells])
    RUNS.write_table(
        ["shipped recipe, but", "n", "200 labels", "1,000 labels", "seconds for 1,000", "pretext seconds"], rows
    )


if __name__ == "__main__":
    main()
