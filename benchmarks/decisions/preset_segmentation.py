"""The preset `fast` for segmentation, and variants that differ in one thing. Its runs were not kept.

    python -m benchmarks.decisions.preset_segmentation [--seeds 2]

24 and 96 random labels of CamVid's 367 training frames, measured on its 101 validation frames: test frames are not
used. Mean IoU over the 11 classes, in per cent, of the linear probe, which gives the backend's predictions, and of the
network's own last layer. `results/preset_segmentation.json` holds every run; existing runs are not repeated, and
several processes may share the work, one seed each (`--only-seed`).
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import datasets
from benchmarks.by_hand import NoCheckpoint, Pixels, finish
from benchmarks.kept_runs import KeptRuns, timed
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import SegmentedImages
from pt4al_backend.store.decode import decode

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "preset_segmentation.json", "python -m benchmarks.decisions.preset_segmentation"
)
LABELS = (24, 96)
CLASSES = learning.Output("segmentation", len(datasets.CAMVID_CLASSES))

# name -> changes of the pretext recipe, and of the main recipe
ROWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as shipped": ({}, {}),
    "from scratch": ({}, {"init": None}),
    "pixels of all classes alike": ({}, {"balance": 0.0}),
    "classes balanced": ({}, {"balance": 1.0}),
    "mixup": ({}, {"mixup": True}),
    "no colour changes in the main task": ({}, {"recolour": 0.0}),
    "no crops and flips in the main task": ({}, {"augment": False}),
    "learning rate 0.05": ({}, {"learning_rate": 0.05}),
    "twice the main steps": ({}, {"epochs": 120, "least_steps": 600, "most_steps": 2_400}),
    "128 pixels": ({"image_size": 128}, {"image_size": 128}),
    "half the pretext steps": ({"most_steps": 200}, {}),
}


class Frames:
    """Training and validation frames at one size, with their masks: `learning.Images` and `learning.Masks`."""

    def __init__(self, size: int) -> None:
        pool, self.test = datasets.camvid("train"), datasets.camvid("val")
        files = [part.read(k) for part in (pool, self.test) for k in range(len(part))]
        self.pixels = Pixels(np.stack([decode(file, size=size) for file in files]))
        self.pool = np.arange(len(pool))
        self.tests = np.arange(len(pool), len(pool) + len(self.test))
        self.masks = self.masks_of(pool)

    def masks_of(self, frames: SegmentedImages) -> np.ndarray:
        """The (n, m, m) uint8 masks, at half the images' side."""
        side = learning.mask_side(self.pixels.size)
        small = (
            Image.fromarray(frames.mask(k)).resize((side, side), Image.Resampling.NEAREST) for k in range(len(frames))
        )
        masks = np.stack([np.array(mask) for mask in small])
        masks[masks >= CLASSES.classes] = learning.IGNORE
        return masks


class Targets:
    """The masks of some frames."""

    def __init__(self, masks: np.ndarray) -> None:
        self._masks = masks

    def read(self, positions: np.ndarray) -> np.ndarray:
        return self._masks[positions]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only-seed", type=int)
    parser.add_argument("--rows", help="comma-separated; all by default")
    options = parser.parse_args()
    seeds = range(options.seeds) if options.only_seed is None else [options.only_seed]
    rows = options.rows.split(",") if options.rows else list(ROWS)
    frames: dict[int, Frames] = {}
    for seed in seeds:
        networks: dict[str, tuple[learning.Weights, float]] = {}
        for name in rows:
            pretext_changes, main_changes = ROWS[name]
            if RUNS.has(name, seed):
                continue
            size = pretext_changes.get("image_size", 192)
            frames.setdefault(size, Frames(size))
            key = json.dumps(pretext_changes)
            if key not in networks:
                networks[key] = timed(pretext, frames[size], pretext_changes, seed)
            RUNS.add({"row": name, "seed": seed} | measure(frames[size], *networks[key], main_changes, seed))
    show()


def pretext(frames: Frames, changes: dict[str, Any], seed: int) -> learning.Weights:
    recipe = replace(recipes(frames.pixels.size).pretext, **changes)
    return finish(
        learning.train_pretext(
            frames.pixels, frames.pool, recipe=recipe, seed=seed, device="cpu", checkpoint=NoCheckpoint()
        )
    )


def measure(
    frames: Frames, network: learning.Weights, seconds: float, changes: dict[str, Any], seed: int
) -> dict[str, Any]:
    init = changes.get("init", network)
    recipe = replace(
        recipes(frames.pixels.size).main, **{name: value for name, value in changes.items() if name != "init"}
    )
    results: dict[str, Any] = {"pretext_seconds": round(seconds, 1)}
    for count in LABELS:
        rows = np.random.default_rng(seed).permutation(frames.pool)[:count]
        weights, spent = timed(main_task, frames, rows, recipe, init, seed)
        encoder = learning.network_encoder(weights)
        assert encoder.patches is not None
        ((side, width),) = encoder.patches.stages
        chunks = encoder.embed(frames.pixels, rows, device="cpu")
        grid = np.concatenate([cells.reshape(-1, side, side, width) for _, _, cells in chunks if cells is not None])
        shares = learning.mask_shares(frames.masks[rows], CLASSES.classes, grid.shape[1])
        head = learning.fit_pixel_head(grid, shares, balance=recipe.balance)
        results[str(count)] = {
            "mean_iou": mean_iou(frames, weights, head),
            "network_mean_iou": mean_iou(frames, weights, learning.network_head(weights, 0)),
            "seconds": round(spent, 1),
        }
    return results


def main_task(
    frames: Frames, rows: np.ndarray, recipe: learning.MainRecipe, init: learning.Weights | None, seed: int
) -> learning.Weights:
    targets = [Targets(frames.masks[rows])]
    return finish(
        learning.train_main(frames.pixels, rows, [CLASSES], targets, recipe=recipe, init=init, seed=seed, device="cpu")
    )


def mean_iou(frames: Frames, weights: learning.Weights, head: learning.Head) -> float:
    from pt4al_backend.labelling.segmentation import SEGMENTATION

    chunks = learning.network_encoder(weights).segment(head, frames.pixels, frames.tests, device="cpu")
    pairs = (
        (frames.test.mask(row - len(frames.pool)), image)
        for rows, logits in chunks
        for row, image in zip(rows.tolist(), logits, strict=True)
    )
    return SEGMENTATION.figures(len(frames.test.classes), pairs)["mean_iou"]


def recipes(size: int) -> learning.Recipe:
    return learning.recipes("fast", device="cpu", pool=367, image_size=size, dense=True)


def show() -> None:
    rows = []
    for name in ROWS:
        runs = RUNS.of(name)
        if runs:
            cells = [spread([100 * run[str(count)]["mean_iou"] for run in runs]) for count in LABELS]
            cells.append(spread([100 * run["96"]["network_mean_iou"] for run in runs]))
            cells.append(f"{statistics.mean(run['96']['seconds'] for run in runs):.0f}")
            cells.append(f"{statistics.mean(run['pretext_seconds'] for run in runs):.0f}")
            rows.append([name, str(len(runs)), *cells])
    head = ["shipped recipe, but", "n", "24 labels", "96 labels", "network's own", "seconds for 96", "pretext seconds"]
    RUNS.write_table(head, rows)


if __name__ == "__main__":
    main()
