"""How is the linear probe of a segmentation fitted on a pretrained encoder? On many cells, with a strong prior.

    python -m benchmarks.decisions.pixel_probe [--rows ...] [--seeds 2]

12 and 96 random frames of CamVid's 367 training frames, measured on its 101 validation frames: mean IoU over the 11
classes, in per cent. Frames are embedded once and kept in `build/embeddings`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks import datasets
from benchmarks.decisions.encoder_patches import LABELS, MASKS, embedded, measure, no_network
from benchmarks.decisions.preset_segmentation import Frames
from benchmarks.kept_runs import KeptRuns
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.store.checkpoints import load_arrays, save_arrays

RUNS = KeptRuns(Path(__file__).parent / "results" / "pixel_probe.json", "python -m benchmarks.decisions.pixel_probe")
KEPT = Path(__file__).parents[2] / "build" / "embeddings" / "camvid_patches.safetensors"
SIDE = 384
CELLS = {"11,500 cells": (40, 1.5), "23,000 cells": (25, 1.875), "46,000 cells": (25, 3.75)}
"""Iterations, and seconds intended for the fit."""
PRIORS = (0.1, 0.3, 1.0, 3.0)
ROWS = {
    f"{cells}, prior {prior:g}": learning.PixelProbe(prior, *how) for cells, how in CELLS.items() for prior in PRIORS
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=list(ROWS))
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    missing = [(seed, row) for seed in range(options.seeds) for row in options.rows if not RUNS.has(row, seed)]
    if missing:
        frames = Frames(MASKS)
        encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=True, input_size=SIDE)
        assert encoder.patches is not None
        kept = load_arrays(KEPT)
        if kept is None:
            parts = {"pool": datasets.camvid("train"), "test": frames.test}
            kept = {name: embedded(images, encoder)[1] for name, images in parts.items()}, {}
            save_arrays(KEPT, *kept)
        patches, _ = kept
        for seed, row in missing:
            figures = measure(frames, encoder.patches, patches["pool"], patches["test"], seed, ROWS[row])
            RUNS.add({"row": row, "seed": seed} | figures)
    show()


def show() -> None:
    rows = []
    for row in dict.fromkeys(run["row"] for run in RUNS.all()):
        runs = RUNS.of(row)
        figures = [spread([100 * run[f"mean_iou_{count}"] for run in runs]) for count in LABELS]
        seconds = [f"{sum(run[f'fit_{count}'] for run in runs) / len(runs):.1f}" for count in LABELS]
        rows.append([row, str(len(runs)), *figures, *seconds])
    head = ["row", "n", *(f"mean IoU, {n} labels" for n in LABELS), *(f"seconds, {n} labels" for n in LABELS)]
    RUNS.write_table(head, rows)


if __name__ == "__main__":
    main()
