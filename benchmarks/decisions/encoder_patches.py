"""At which side should a pretrained encoder see images for segmentation? At 384 pixels rather than 224.

    python -m benchmarks.decisions.encoder_patches [--sides 224 384] [--seeds 3]

12 and 96 random frames of CamVid's 367 training frames, measured on its 101 validation frames: mean IoU over the 11
classes, in per cent, of a linear probe on the stored patch embeddings.

Not run in this form yet. An earlier form, whose runs were not kept, measured on every second validation frame with
probes on 12,000 cells of a 48 x 48 grid (three seeds): at 224 pixels 44.6 ± 6.0 with 12 labels and 49.8 ± 0.5 with 96,
at 384 pixels 48.1 ± 6.8 and 53.5 ± 2.0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from benchmarks import datasets
from benchmarks.decisions.preset_segmentation import CLASSES, Frames, recipes
from benchmarks.kept_runs import KeptRuns, timed
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import SegmentedImages
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.store.decode import decode

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "encoder_patches.json", "python -m benchmarks.decisions.encoder_patches"
)
LABELS = (12, 96)
SIDES = (224, 320, 384, 448)
MASKS = 192
"""Side in pixels at which images are stored; masks have half of it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", nargs="*", type=int, default=SIDES)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    frames = Frames(MASKS)
    for side in options.sides:
        missing = [seed for seed in range(options.seeds) if not RUNS.has(str(side), seed)]
        if missing:
            encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=True, input_size=side)
            assert encoder.patches is not None
            (_, pool), seconds = timed(embedded, datasets.camvid("train"), encoder)
            _, tests = embedded(frames.test, encoder)
            for seed in missing:
                figures = measure(frames, encoder.patches, pool, tests, seed)
                RUNS.add({"row": str(side), "seed": seed, "seconds": round(seconds, 1)} | figures)
    show()


def no_network(name: str) -> learning.Weights:
    raise SystemExit(f"{name} belongs to a project: name a pretrained encoder.")


def embedded(frames: SegmentedImages, encoder: learning.Encoder) -> tuple[np.ndarray, np.ndarray]:
    """The embeddings and the stored patch embeddings of all frames."""
    vectors, patches = [], []
    for start in range(0, len(frames), 8):
        some = range(start, min(start + 8, len(frames)))
        pixels = np.stack([decode(frames.read(k), size=encoder.input_size) for k in some])
        of_images, of_cells = encoder.embed_pixels(pixels, device="cpu")
        assert of_cells is not None
        vectors.append(of_images)
        patches.append(of_cells)
    return np.concatenate(vectors), np.concatenate(patches)


def measure(
    frames: Frames,
    layout: learning.PatchLayout,
    pool: np.ndarray,
    tests: np.ndarray,
    seed: int,
    how: learning.PixelProbe = learning.PRETRAINED_PATCHES,
) -> dict[str, float]:
    """Mean IoU and seconds of fitting, by how many frames are labelled."""
    results: dict[str, float] = {"kilobytes": round(2 * layout.size / 1000)}
    for count in LABELS:
        rows = np.random.default_rng(seed).permutation(frames.pool)[:count]
        shares = learning.mask_shares(frames.masks[rows], CLASSES.classes, layout.side)
        of_each = -(-how.most_cells(layout.channels, CLASSES.classes) // count)
        cells, given = layout.sampled(pool[rows], shares, of_each)
        balance = recipes(MASKS).main.balance
        head, seconds = timed(lambda: learning.fit_pixel_head(cells, given, balance=balance, how=how))  # noqa: B023
        side = learning.mask_side(MASKS)
        pairs = (
            (frames.test.mask(row), layout.logits(tests[row : row + 1], head, side=side)[0])
            for row in range(len(tests))
        )
        results[f"mean_iou_{count}"] = round(SEGMENTATION.figures(len(frames.test.classes), pairs)["mean_iou"], 4)
        results[f"fit_{count}"] = round(seconds, 2)
    return results


def show() -> None:
    rows = []
    for row in dict.fromkeys(run["row"] for run in RUNS.all()):
        runs = RUNS.of(row)
        cells = [spread([100 * run[f"mean_iou_{count}"] for run in runs]) for count in LABELS]
        rows.append([row, *cells, f"{runs[0]['seconds']:.0f}", f"{runs[0]['kilobytes']:.0f}"])
    head = ["seen at, px", *(f"mean IoU, {count} labels" for count in LABELS), "CPU s for 367 frames", "kB a frame"]
    RUNS.write_table(head, rows)


if __name__ == "__main__":
    main()
