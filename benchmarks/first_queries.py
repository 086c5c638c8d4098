"""Which dozen frames should be labelled first, when pixels are told apart?

    python benchmarks/first_queries.py [--turns 8] [--rows a,b]

12 of CamVid's 367 training frames, a network trained on them as `fast` trains it, and the mean IoU over the 11 classes
of its 101 validation frames, in per cent: test frames are not looked at. In turn k the frames come from batch k of
PT4AL's, sorted by the losses of one pretext network: its most typical ones, those at even distances (section 3.3 of the
paper), or, from the whole pool, 12 at random. Several processes may work at it some rows or turns each.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from by_hand import finish
from kept_runs import KeptRuns, spread
from preset_segmentation import CLASSES, Frames, main_task, mean_iou, pretext, recipes

from pt4al_backend import learning
from pt4al_backend.sampling import batches, lanes
from pt4al_backend.sampling.coverage import most_informative

RUNS = KeptRuns(Path(__file__).parent / "results" / "first_queries.json", "python benchmarks/first_queries.py")
ROUNDS, QUERY, SIDE = 8, 12, 192
ROWS = ("typical", "even", "random")


class Sorted:
    """Frames as one pretext network sees them."""

    def __init__(self, frames: Frames) -> None:
        self.network = pretext(frames, {}, 0)
        losses = finish(learning.pretext_losses(self.network, frames.pixels, frames.pool, device="cpu"))
        self.hardest_first = batches.hardest_first(losses, frames.pool)
        parts = learning.extract_features(self.network, frames.pixels, frames.pool, device="cpu")
        self.features = np.concatenate([pooled for _, pooled, _ in parts]).astype(np.float32)

    def query(self, row: str, turn: int) -> np.ndarray:
        n = len(self.hardest_first)
        batch = self.hardest_first[batches.cut(n, cycles=ROUNDS, order="dealt", seed=0) == turn % ROUNDS]
        if row == "even":
            return batch[lanes.at_even_distances(len(batch), QUERY)[:QUERY]]
        if row == "typical":
            features = self.features[batch]
            return batch[most_informative(features, np.ones(len(batch)), features[:0], wanted=QUERY)]
        return np.random.default_rng(turn).permutation(n)[:QUERY]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=ROUNDS)
    parser.add_argument("--rows", help="comma-separated; all by default")
    options = parser.parse_args()
    rows = options.rows.split(",") if options.rows else ROWS
    missing = [(row, turn) for turn in range(options.turns) for row in rows if not RUNS.has(row, turn)]
    if missing:
        frames = Frames(SIDE)
        pool = Sorted(frames)
        for row, turn in missing:
            RUNS.add({"row": row, "seed": turn, "mean_iou": round(measure(frames, pool, row, turn), 4)})
    show()


def measure(frames: Frames, pool: Sorted, row: str, turn: int) -> float:
    taught, recipe = np.sort(pool.query(row, turn)), recipes(SIDE).main
    weights = main_task(frames, taught, recipe, pool.network, turn)
    grids = learning.extract_features(weights, frames.pixels, taught, device="cpu")
    grid = np.concatenate([grid for _, _, grid in grids])
    shares = learning.mask_shares(frames.masks[taught], CLASSES.classes, grid.shape[1])
    return mean_iou(frames, weights, learning.fit_pixel_head(grid, shares, balance=recipe.balance))


def show() -> None:
    print("| first 12 frames | n | mean IoU | each |")
    print("| --- | --- | --- | --- |")
    for row in ROWS:
        runs = sorted(RUNS.of(row), key=lambda run: run["seed"])
        if runs:
            each = [100 * run["mean_iou"] for run in runs]
            print(f"| {row} | {len(each)} | {spread(each)} | " + " ".join(f"{value:.1f}" for value in each) + " |")


if __name__ == "__main__":
    main()
