"""Which 12 frames should be labelled first for segmentation? 24 runs show no significant difference.

    python -m benchmarks.decisions.first_queries [--networks 3]

12 of CamVid's 367 training frames and a refit on the frozen features of a pretext network, measured on its 101
validation frames: mean IoU over the 11 classes on the 24 x 24 grid that refits use, in per cent. Each of the eight
batches of each network is a run: with the batch's frames at even distances (section 3.3 of the paper), its most typical
ones, or random ones; and with random frames of the pool, or the most typical ones of a random half of it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.decisions.frozen_queries import QUERY, ROUNDS, SIDE, Frozen, mean_iou
from benchmarks.decisions.preset_segmentation import Frames, recipes
from benchmarks.kept_runs import KeptRuns
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.sampling import batches
from pt4al_backend.sampling.coverage import most_informative
from pt4al_backend.sampling.evenly_spaced import at_even_distances

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "first_queries.json", "python -m benchmarks.decisions.first_queries"
)
ROWS = ("even", "typical", "random of the batch", "random", "typical of half the pool")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=3)
    frames: Frames | None = None
    for network in range(parser.parse_args().networks):
        turns = range(network * ROUNDS, (network + 1) * ROUNDS)
        missing = [(row, turn) for turn in turns for row in ROWS if not RUNS.has(row, turn)]
        if missing:
            frames = frames or Frames(SIDE)
            frozen = Frozen(frames, network)
            for row, turn in missing:
                RUNS.add({"row": row, "seed": turn, "mean_iou": round(measure(frozen, query(frozen, row, turn)), 4)})
    show()


def query(frozen: Frozen, row: str, turn: int) -> np.ndarray:
    """The frames of a first query."""
    n, random = len(frozen.pool), np.random.default_rng(turn)
    batch = frozen.hardest_first[batches.cut(n, cycles=ROUNDS, order="round_robin", seed=0) == turn % ROUNDS]
    if row == "even":
        return batch[at_even_distances(len(batch), QUERY)[:QUERY]]
    if row == "random of the batch":
        return random.permutation(batch)[:QUERY]
    if row == "random":
        return random.permutation(n)[:QUERY]
    members = random.permutation(n)[: n // 2] if row == "typical of half the pool" else batch
    features = frozen.pooled[members]
    return members[most_informative(features, np.ones(len(members)), features[:0], wanted=QUERY)]


def measure(frozen: Frozen, labelled: np.ndarray) -> float:
    head = learning.fit_pixel_head(frozen.grid[labelled], frozen.shares[labelled], balance=recipes(SIDE).main.balance)
    return mean_iou(head.logits(frozen.grid[frozen.tests]), frozen.shares[frozen.tests])


def show() -> None:
    results = [(row, [100 * run["mean_iou"] for run in RUNS.of(row)]) for row in ROWS]
    RUNS.write_table(
        ["first 12 frames", "n", "mean IoU"],
        [[row, str(len(values)), spread(values)] for row, values in results if values],
    )


if __name__ == "__main__":
    main()
