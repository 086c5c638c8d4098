"""At which side should a pretrained encoder see images for segmentation? Not measured yet.

    python -m benchmarks.decisions.encoder_patches [--rows 192,192 320,320] [--seeds 3]

12 and 96 random frames of CamVid's 367 training frames, measured on its 101 validation frames: mean IoU over the 11
classes, in per cent, of a linear probe on patch embeddings. A row says at which side images are stored and at which
side the encoder sees them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks.decisions.preset_segmentation import CLASSES, Frames, recipes
from benchmarks.kept_runs import KeptRuns, timed
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.labelling.segmentation import SEGMENTATION

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "encoder_patches.json", "python -m benchmarks.decisions.encoder_patches"
)
LABELS = (12, 96)
ROWS = ("192,192", "192,320", "320,320", "384,384")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=ROWS)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    for row in options.rows:
        missing = [seed for seed in range(options.seeds) if not RUNS.has(row, seed)]
        if missing:
            stored, seen = map(int, row.split(","))
            frames = Frames(stored)
            encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=True, input_size=seen)
            grid, seconds = timed(embedded, frames, encoder)
            for seed in missing:
                RUNS.add(
                    {"row": row, "seed": seed, "seconds": round(seconds, 1)} | measure(frames, encoder, grid, seed)
                )
    show()


def no_network(name: str) -> learning.Weights:
    raise SystemExit(f"{name} belongs to a project: name a pretrained encoder.")


def embedded(frames: Frames, encoder: learning.Encoder) -> np.ndarray:
    """(367, G, G, F) of the training frames."""
    parts = encoder.embed(frames.pixels, frames.pool, device="cpu")
    return np.concatenate([cells for _, _, cells in parts if cells is not None])


def measure(frames: Frames, encoder: learning.Encoder, grid: np.ndarray, seed: int) -> dict[str, float]:
    results = {}
    for count in LABELS:
        rows = np.random.default_rng(seed).permutation(frames.pool)[:count]
        shares = learning.mask_shares(frames.masks[rows], CLASSES.classes, grid.shape[1])
        balance = recipes(192).main.balance
        head, seconds = timed(lambda: learning.fit_pixel_head(grid[rows], shares, balance=balance))  # noqa: B023
        pairs = (
            (frames.test.mask(row - len(frames.pool)), image)
            for chunk, logits in encoder.segment(head, frames.pixels, frames.tests, device="cpu")
            for row, image in zip(chunk.tolist(), logits, strict=True)
        )
        results[f"mean_iou_{count}"] = round(SEGMENTATION.figures(len(frames.test.classes), pairs)["mean_iou"], 4)
        results[f"fit_{count}"] = round(seconds, 2)
    return results


def show() -> None:
    rows = []
    for row in dict.fromkeys(run["row"] for run in RUNS.all()):
        runs = RUNS.of(row)
        cells = [spread([100 * run[f"mean_iou_{count}"] for run in runs]) for count in LABELS]
        rows.append([row, *cells, f"{runs[0]['seconds']:.0f}"])
    head = ["stored, seen at, px", *(f"mean IoU, {count} labels" for count in LABELS), "CPU s for 367 frames"]
    RUNS.write_table(head, rows)


if __name__ == "__main__":
    main()
