"""Which images teach a refit most, when nothing but the refit learns? Minutes instead of the hours of `accuracy.py`.

    python benchmarks/frozen_queries.py [--turns 4] [--strategies a,b]

CamVid's 367 training frames, 8 rounds of 12, measured on its 101 validation frames: mean IoU over the 11 classes on the
24 x 24 grid that refits see, in per cent. The features are those of one pretext network throughout; queries and refits
are the ones that ship. Turns differ in which batch comes first and in all that is drawn at random. How `fast` spreads
its queries where pixels are told apart was chosen by this; `accuracy.py camvid` says what that is worth where the
network learns, too.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from by_hand import finish
from kept_runs import KeptRuns
from preset_segmentation import CLASSES, Frames, pretext, recipes
from tables import spread

from pt4al_backend import learning
from pt4al_backend.labelling.segmentation import error_of_pixels, of_pixels
from pt4al_backend.sampling import batches, candidates
from pt4al_backend.sampling.strategies import Strategy, strategy
from pt4al_backend.sampling.uncertainty import UNCERTAINTIES
from pt4al_backend.simulate.results import aubc

RUNS = KeptRuns(Path(__file__).parent / "results" / "frozen_queries.json", "python benchmarks/frozen_queries.py")
ROUNDS, QUERY, SIDE = 8, 12, 192
STRATEGIES: dict[str, Strategy] = {
    "random": strategy("random", order="dealt", diversity="off", dense=True),
    "entropy": strategy("entropy", order="dealt", diversity="off", dense=True),
    **{
        f"pt4al, {diversity}": strategy("pt4al", order="dealt", diversity=diversity, dense=True)
        for diversity in ("off", "gradients", "coverage")
    },
}


class Frozen:
    """Frames as a pretext network sees them: pooled (n, D), grid (n, G, G, F), shares (n, G, G, classes) of a cell."""

    def __init__(self, frames: Frames, seed: int = 0) -> None:
        network = pretext(frames, {}, seed)
        rows = np.concatenate([frames.pool, frames.tests])
        parts = list(learning.extract_features(network, frames.pixels, rows, device="cpu"))
        self.pooled = np.concatenate([pooled for _, pooled, _ in parts]).astype(np.float32)
        self.grid = np.concatenate([grid for _, _, grid in parts if grid is not None])
        truth = np.concatenate([frames.masks, frames.masks_of(frames.test)])
        self.shares = learning.mask_shares(truth, CLASSES.classes, self.grid.shape[1])
        losses = finish(learning.pretext_losses(network, frames.pixels, frames.pool, device="cpu"))
        self.hardest_first = batches.hardest_first(losses, frames.pool)
        self.pool, self.tests = frames.pool, frames.tests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--strategies", help="comma-separated; all by default")
    options = parser.parse_args()
    names = options.strategies.split(",") if options.strategies else list(STRATEGIES)
    missing = [(name, turn) for turn in range(options.turns) for name in names if not RUNS.has(name, turn)]
    if missing:
        frozen = Frozen(Frames(SIDE))
        for name, turn in missing:
            curve = play(frozen, STRATEGIES[name], turn)
            RUNS.add({"row": name, "seed": turn, "mean_iou": [round(value, 4) for value in curve]})
    show()


def play(frozen: Frozen, chosen: Strategy, turn: int) -> list[float]:
    """Mean IoU after each round."""
    n = len(frozen.pool)
    batch, rank = np.empty(n, np.int64), np.empty(n, np.int64)
    cut = batches.cut(n, cycles=ROUNDS, order="dealt", seed=turn)
    batch[frozen.hardest_first], rank[frozen.hardest_first] = (cut + turn) % ROUNDS, np.arange(n)
    labelled = np.zeros(n, dtype=bool)
    head, curve = None, []
    for k in range(ROUNDS):
        members = np.flatnonzero(batch == k) if chosen.batches else frozen.pool
        order = chosen.later if k else chosen.first
        lane = lane_of(frozen, members, labelled, batch, rank, head, turn)
        labelled[members[order(lane, QUERY)[:QUERY]]] = True
        taught = frozen.pool[labelled]
        head = learning.fit_pixel_head(frozen.grid[taught], frozen.shares[taught], balance=recipes(SIDE).main.balance)
        curve.append(mean_iou(head.logits(frozen.grid[frozen.tests]), frozen.shares[frozen.tests]))
    return curve


def lane_of(
    frozen: Frozen,
    members: np.ndarray,
    labelled: np.ndarray,
    batch: np.ndarray,
    rank: np.ndarray,
    head: learning.Head | None,
    turn: int,
) -> candidates.Candidates:
    uncertainty = np.full(len(members), np.nan)
    errors: Any = None
    if head is not None:
        logits = head.logits(frozen.grid[members])
        uncertainty = of_pixels(logits, UNCERTAINTIES["entropy"])
        errors = error_of_pixels(logits)
    return candidates.Candidates(
        batch=batch[members],
        rank=rank[members],
        uncertainty=uncertainty,
        random_key=candidates.random_key(members + 1, seed=turn),
        open=~labelled[members],
        query_size=QUERY,
        features=lambda positions: frozen.pooled[members[positions]],
        labelled=lambda: frozen.pooled[frozen.pool[labelled]],
        errors=None if errors is None else lambda positions: errors[positions],
        predict=None,
        mistakes=lambda: (np.empty(0, np.int64), np.empty(0)),
        round=0,
        seed=turn,
    )


def mean_iou(logits: np.ndarray, shares: np.ndarray) -> float:
    """Over the classes; a cell counts as the pixels in it."""
    guessed, classes = logits.argmax(axis=-1).reshape(-1), shares.shape[-1]
    cells = shares.reshape(-1, classes)
    confusion = np.stack([cells[guessed == k].sum(axis=0) for k in range(classes)], axis=1)
    both = confusion.diagonal()
    return float((both / (confusion.sum(axis=0) + confusion.sum(axis=1) - both)).mean())


def show() -> None:
    labels, shown = [QUERY * (k + 1) for k in range(ROUNDS)], (0, 3, ROUNDS - 1)
    rows = []
    for name in STRATEGIES:
        curves = [[100 * value for value in run["mean_iou"]] for run in RUNS.of(name)]
        if curves:
            cells = [spread([curve[k] for curve in curves]) for k in shown]
            rows.append([name, str(len(curves)), *cells, spread([aubc(labels, curve) for curve in curves])])
    RUNS.tell(["strategy", "n", *(f"{labels[k]} labels" for k in shown), "AUBC"], rows)


if __name__ == "__main__":
    main()
