"""Which images improve a pixel-level linear probe most? `coverage` is as good as `random`; all others are worse.

Takes minutes instead of the hours of `accuracy`.

    python -m benchmarks.decisions.frozen_queries [--turns 4] [--strategies a,b]

CamVid's 367 training frames, 8 rounds of 12, measured on its 101 validation frames: mean IoU over the 11 classes on the
24 x 24 grid that refits use, in per cent. The embeddings are those of one pretext network throughout; queries and
refits are the shipped ones. Runs differ in which batch comes first and in all random numbers. How `fast` diversifies
its queries for segmentation was chosen with this script; `accuracy camvid_rotation` shows what that is worth when the
network is trained as well.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.by_hand import finish
from benchmarks.decisions.preset_segmentation import CLASSES, Frames, pretext, recipes
from benchmarks.kept_runs import KeptRuns
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.labelling.segmentation import error_of_pixels, of_pixels
from pt4al_backend.sampling import batches
from pt4al_backend.sampling.candidates import Candidates, random_key
from pt4al_backend.sampling.strategies import find
from pt4al_backend.sampling.strategy import Strategy
from pt4al_backend.sampling.uncertainty import UNCERTAINTIES
from pt4al_backend.simulate.budget_curve import aubc

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "frozen_queries.json", "python -m benchmarks.decisions.frozen_queries"
)
ROUNDS, QUERY, SIDE = 8, 12, 192
STRATEGIES: dict[str, Strategy] = {
    "random": find("random", diversity="off", dense=True),
    "entropy": find("entropy", diversity="off", dense=True),
    **{
        f"pt4al, {diversity}": find("pt4al", diversity=diversity, dense=True)
        for diversity in ("off", "gradients", "coverage")
    },
}


class Frozen:
    """A pretext network's embeddings of the frames, and the shares of the classes in each cell of their grid.

    `pooled` is (n, D), `grid` (n, G, G, F), `shares` (n, G, G, classes).
    """

    def __init__(self, frames: Frames, seed: int = 0) -> None:
        network = pretext(frames, {}, seed)
        rows = np.concatenate([frames.pool, frames.tests])
        encoder = learning.network_encoder(network)
        parts = list(encoder.embed(frames.pixels, rows, device="cpu"))
        self.pooled = np.concatenate([pooled for _, pooled, _ in parts]).astype(np.float32)
        self.grid = in_cells(encoder, [patches for _, _, patches in parts])
        truth = np.concatenate([frames.masks, frames.masks_of(frames.test)])
        self.shares = learning.mask_shares(truth, CLASSES.classes, self.grid.shape[1])
        losses = finish(learning.pretext_losses(network, frames.pixels, frames.pool, device="cpu"))
        self.hardest_first = batches.hardest_first(losses, frames.pool)
        self.pool, self.tests = frames.pool, frames.tests


def in_cells(encoder: learning.Encoder, parts: Sequence[np.ndarray | None]) -> np.ndarray:
    """(n, G, G, F) patch embeddings of one of the project's own networks, whose stages are stored as one."""
    assert encoder.patches is not None
    ((side, width),) = encoder.patches.stages
    return np.concatenate([part.reshape(-1, side, side, width) for part in parts if part is not None])


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
    cut = batches.cut(n, cycles=ROUNDS, order="round_robin", seed=turn)
    batch[frozen.hardest_first], rank[frozen.hardest_first] = (cut + turn) % ROUNDS, np.arange(n)
    labelled = np.zeros(n, dtype=bool)
    head, curve = None, []
    for k in range(ROUNDS):
        members = np.flatnonzero(batch == k) if chosen.batches else frozen.pool
        candidates = candidates_of(frozen, members, labelled, batch, rank, head, turn)
        served = candidates.serving_order(chosen.query_of(k)(candidates, QUERY))
        labelled[members[served[:QUERY]]] = True
        trained_on = frozen.pool[labelled]
        head = learning.fit_pixel_head(
            frozen.grid[trained_on], frozen.shares[trained_on], balance=recipes(SIDE).main.balance
        )
        curve.append(mean_iou(head.logits(frozen.grid[frozen.tests]), frozen.shares[frozen.tests]))
    return curve


@dataclass(frozen=True)
class Source:
    """The embeddings that a strategy asks for: `sampling.candidates.Source`."""

    frozen: Frozen
    labelled: np.ndarray
    head: learning.Head | None

    def embeddings(self, positions: np.ndarray) -> np.ndarray:
        return self.frozen.pooled[positions]

    def gradients(self, positions: np.ndarray) -> np.ndarray | None:
        return None if self.head is None else error_of_pixels(self.head.logits(self.frozen.grid[positions]))

    def labelled_embeddings(self) -> np.ndarray:
        return self.frozen.pooled[self.frozen.pool[self.labelled]]

    def out_of_fold_errors(self) -> tuple[np.ndarray, np.ndarray]:
        return np.empty(0, np.int64), np.empty(0)

    def predicted(self, positions: np.ndarray) -> None:
        return None  # pixels are predicted, not images

    def predict(self, embeddings: np.ndarray) -> None:
        return None


def candidates_of(
    frozen: Frozen,
    members: np.ndarray,
    labelled: np.ndarray,
    batch: np.ndarray,
    rank: np.ndarray,
    head: learning.Head | None,
    turn: int,
) -> Candidates:
    uncertainty: np.ndarray = np.full(len(members), np.nan)
    if head is not None:
        uncertainty = of_pixels(head.logits(frozen.grid[members]), UNCERTAINTIES["entropy"])
    return Candidates(
        pool_positions=members,
        batch=batch[members],
        rank=rank[members],
        uncertainty=uncertainty,
        random_key=random_key(members + 1, seed=turn),
        open=~labelled[members],
        query_size=QUERY,
        round=0,
        seed=turn,
        source=Source(frozen, labelled, head),
    )


def mean_iou(logits: np.ndarray, shares: np.ndarray) -> float:
    """The mean IoU over the classes; a cell counts with the pixels in it."""
    predicted, classes = logits.argmax(axis=-1).reshape(-1), shares.shape[-1]
    cells = shares.reshape(-1, classes)
    confusion = np.stack([cells[predicted == k].sum(axis=0) for k in range(classes)], axis=1)
    intersection = confusion.diagonal()
    return float((intersection / (confusion.sum(axis=0) + confusion.sum(axis=1) - intersection)).mean())


def show() -> None:
    labels, shown = [QUERY * (k + 1) for k in range(ROUNDS)], (0, 3, ROUNDS - 1)
    rows = []
    for name in STRATEGIES:
        curves = [[100 * value for value in run["mean_iou"]] for run in RUNS.of(name)]
        if curves:
            cells = [spread([curve[k] for curve in curves]) for k in shown]
            rows.append([name, str(len(curves)), *cells, spread([aubc(labels, curve) for curve in curves])])
    RUNS.write_table(["strategy", "n", *(f"{labels[k]} labels" for k in shown), "AUBC"], rows)


if __name__ == "__main__":
    main()
