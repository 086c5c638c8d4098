"""Which frames should be labelled for a segmentation with a pretrained encoder? Typical ones that cover the pool.

    python -m benchmarks.decisions.segmentation_queries [--rows ...] [--seeds 3]

CamVid's training frames, 8 rounds of 12, measured on half of its 101 validation frames. Each seed labels a random 300
of the 367. Frames are embedded once and kept in `build/embeddings`; so that a run takes seconds, patch embeddings are
averaged over 24 x 24 cells and reduced to 64 principal components, which costs some IoU and favours no row. Mean IoU
over the 11 classes in per cent: with 12 labels, over all rounds (AUBC) and with 96, and the difference of the area from
random's, paired by seed, with the standard error.

All rows but `random` and `entropy` choose by coverage of embeddings, typical frames first; then they weight a frame by
its mean `entropy`, by the rarity of the classes that it is thought to show, or not at all (`maxherding`).

Not run in this form yet. What was decided rests on an earlier form, whose runs were not kept and whose probe took 8,000
cells and 30 iterations. Four seeds, AUBC minus random's (49.3): `coverage` +0.2 ± 1.1, `rare classes` +1.6 ± 1.0, at
width 1 +1.9 ± 0.9, `maxherding` +1.3 ± 0.8, at width 1 +1.9 ± 0.9; `entropy` -1.2 ± 1.7 (three seeds).
"""

from __future__ import annotations

import argparse
import statistics
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import interpolate

from benchmarks import datasets
from benchmarks.decisions.encoder_patches import embedded, no_network
from benchmarks.decisions.preset_segmentation import CLASSES, recipes
from benchmarks.kept_runs import KeptRuns
from pt4al_backend import learning
from pt4al_backend.labelling.segmentation import of_pixels
from pt4al_backend.sampling.coverage import most_informative
from pt4al_backend.sampling.uncertainty import entropy, softmax
from pt4al_backend.simulate.budget_curve import aubc
from pt4al_backend.store.checkpoints import load_arrays, save_arrays

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "segmentation_queries.json",
    "python -m benchmarks.decisions.segmentation_queries",
)
KEPT = Path(__file__).parents[2] / "build" / "embeddings" / "camvid_cells.safetensors"
POOL, ROUNDS, QUERY = 300, 8, 12
PROBE = learning.OWN_PATCHES._replace(seconds=0.15)
SIDE, CELLS, COMPONENTS, MASKS = 384, 24, 64, 96
ROWS = {
    "random": ("", 0.0),
    "entropy": ("entropy", 0.0),
    "coverage": ("entropy", 0.5),
    "rare classes": ("rare", 0.5),
    "rare classes, width 1": ("rare", 1.0),
    "maxherding": ("alike", 0.5),
    "maxherding, width 1": ("alike", 1.0),
}
"""What a frame is worth, and the width of the kernel; without one, the frames worth most are labelled."""


@dataclass(frozen=True)
class Frames:
    """The embeddings (n, D) of the frames to label, cells (n, 576, 64) of these and of others, and all masks."""

    embeddings: np.ndarray
    cells: np.ndarray
    shares: np.ndarray
    """(n, 576, classes)"""
    tests: np.ndarray
    truths: np.ndarray
    """(m, 96, 96)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=list(ROWS), choices=ROWS)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    missing = [(row, seed) for seed in range(options.seeds) for row in options.rows if not RUNS.has(row, seed)]
    if missing:
        frames = read()
        for row, seed in missing:
            curve = play(frames, *ROWS[row], seed)
            RUNS.add({"row": row, "seed": seed, "mean_iou": [round(value, 4) for value in curve]})
    show()


def play(frames: Frames, worth: str, width: float, seed: int) -> list[float]:
    """Mean IoU after each round."""
    random = np.random.default_rng(seed)
    pool = np.sort(random.permutation(len(frames.cells))[:POOL])
    labelled = np.empty(0, dtype=np.int64)
    head, curve = None, []
    for _ in range(ROUNDS):
        left = np.setdiff1d(pool, labelled)
        if not worth or (head is None and not width):
            query = random.permutation(left)[:QUERY]
        else:
            values = np.ones(len(left)) if head is None else values_of(frames, head, worth, left, labelled)
            if width:
                known = frames.embeddings[labelled]
                query = left[most_informative(frames.embeddings[left], values, known, wanted=QUERY, width=width)]
            else:
                query = left[np.argsort(-values)[:QUERY]]
        labelled = np.concatenate([labelled, query])
        balance = recipes(192).main.balance
        head = learning.fit_pixel_head(frames.cells[labelled], frames.shares[labelled], balance=balance, how=PROBE)
        curve.append(mean_iou(frames, head))
    return curve


def values_of(frames: Frames, head: learning.Head, worth: str, left: np.ndarray, labelled: np.ndarray) -> np.ndarray:
    """What each frame in `left` is worth."""
    if worth == "alike":
        return np.ones(len(left))
    logits = head.logits(frames.cells[left])
    if worth == "entropy":
        return of_pixels(logits, entropy)
    seen = frames.shares[labelled].sum(axis=(0, 1)) + 1e-3 * frames.shares[labelled].sum()
    shown = softmax(logits.reshape(-1, logits.shape[-1])).reshape(logits.shape).mean(axis=1)
    return shown @ (seen.sum() / seen) ** 0.5


def mean_iou(frames: Frames, head: learning.Head) -> float:
    logits = torch.from_numpy(head.logits(frames.tests)).reshape(-1, CELLS, CELLS, CLASSES.classes).permute(0, 3, 1, 2)
    found = interpolate(logits, size=MASKS, mode="bilinear").argmax(dim=1).numpy()
    known = frames.truths < CLASSES.classes
    pairs = CLASSES.classes * frames.truths[known].astype(np.int64) + found[known]
    confusion = np.bincount(pairs, minlength=CLASSES.classes**2).reshape(CLASSES.classes, -1)
    both = confusion.diagonal()
    return float((both / np.maximum(1, confusion.sum(axis=0) + confusion.sum(axis=1) - both)).mean())


def read() -> Frames:
    if not KEPT.exists():
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(KEPT, {name: np.ascontiguousarray(array) for name, array in computed().items()}, {})
    loaded = load_arrays(KEPT)
    assert loaded is not None
    return Frames(
        **{name: array.astype(np.uint8 if name == "truths" else np.float32) for name, array in loaded[0].items()}
    )


def computed() -> dict[str, np.ndarray]:
    encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=True, input_size=SIDE)
    layout = encoder.patches
    assert layout is not None
    pool, tests = datasets.camvid("train"), datasets.camvid("val")
    vectors, stored = embedded(pool, encoder)
    everywhere = np.arange(layout.side**2).reshape(1, -1)

    def in_cells(some: np.ndarray) -> np.ndarray:
        """(n, 576, F), the averages of the grid's cells."""
        fine = layout.cells(some, everywhere.repeat(len(some), axis=0))
        by = layout.side // CELLS
        return fine.reshape(len(some), CELLS, by, CELLS, by, -1).mean(axis=(2, 4)).reshape(len(some), CELLS**2, -1)

    sample = np.concatenate([in_cells(stored[k : k + 1])[0] for k in range(0, len(stored), 10)])
    mean, scale = sample.mean(axis=0), sample.std(axis=0)
    components = np.linalg.eigh(np.cov(((sample - mean) / scale).T))[1][:, ::-1][:, :COMPONENTS]

    def reduced(patches: np.ndarray) -> np.ndarray:
        parts = (in_cells(patches[k : k + 4]) for k in range(0, len(patches), 4))
        return np.concatenate([((part - mean) / scale @ components).astype(np.float16) for part in parts])

    masks = np.stack([pool.mask(k) for k in range(len(pool))])
    truths = [
        Image.fromarray(tests.mask(k)).resize((MASKS, MASKS), Image.Resampling.NEAREST) for k in range(len(tests))
    ]
    shares = learning.mask_shares(masks, CLASSES.classes, CELLS).reshape(len(pool), CELLS**2, -1)
    return {
        "embeddings": vectors.astype(np.float32),
        "cells": reduced(stored),
        "shares": shares.astype(np.float16),
        "tests": reduced(embedded(tests, encoder)[1])[::2],
        "truths": np.stack([np.array(each) for each in truths])[::2],
    }


def show() -> None:
    labels = [QUERY * (k + 1) for k in range(ROUNDS)]
    areas = {
        row: {run["seed"]: 100 * aubc(labels, run["mean_iou"]) for run in RUNS.of(row)} for row in ROWS if RUNS.of(row)
    }
    rows = []
    for row, by_seed in areas.items():
        curves = np.array([run["mean_iou"] for run in RUNS.of(row)]) * 100
        differences = [area - areas["random"][seed] for seed, area in by_seed.items() if seed in areas["random"]]
        cells = [
            f"{curves[:, 0].mean():.1f}",
            f"{statistics.mean(by_seed.values()):.1f}",
            f"{curves[:, -1].mean():.1f}",
        ]
        if row != "random" and len(differences) > 1:
            error = statistics.stdev(differences) / len(differences) ** 0.5
            cells.append(f"{statistics.mean(differences):+.1f} ± {error:.1f}")
        rows.append([row, str(len(by_seed)), *cells, *[""] * (4 - len(cells))])
    RUNS.write_table(["row", "n", "12 labels", "AUBC", "96 labels", "AUBC minus random's"], rows)


if __name__ == "__main__":
    main()
