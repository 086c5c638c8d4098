"""Which score finds wrong masks first?

    python -m benchmarks.mask_errors [--parts train test] [--seeds 5]

CamVid's frames, 5 % of which get a wrong mask, each in one of four ways in turn: one class is `named` as another, an
object is `missing` (the largest class is there instead), the mask is that of `another` frame, or it is `shifted` by
12 % of the side. A probe for the cells of a grid is fitted on the other four fifths, as the backend fits it, and scores
the masks. Shown is how many wrong masks are among the first 10 %, in per cent. The score was chosen on the training
frames, of which 10 % were wrong then (three seeds, runs not kept); the test frames come from other videos.

Frames are embedded by the built-in encoder as it ships and kept in `build/embeddings`.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import datasets
from benchmarks.decisions.encoder_patches import embedded, no_network
from benchmarks.decisions.pretrained_queries import EMBEDDED
from benchmarks.kept_runs import KeptRuns, timed
from benchmarks.label_errors import FIRST, WRONG, average_precision, found_first
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.assessment.mask_errors import errors_of_masks
from pt4al_backend.datasets.known_images import SegmentedImages
from pt4al_backend.sampling.uncertainty import softmax

RUNS = KeptRuns(Path(__file__).parent / "results" / "mask_errors.json", "python -m benchmarks.mask_errors")
CLASSES = len(datasets.CAMVID_CLASSES)
SIDE, CELLS, SEEN = 96, 24, 384
"""Pixels of a mask and cells of the grid per side; side of the encoder's inputs."""
BALANCE = learning.recipes("fast", device="cpu", pool=200, image_size=192).main.balance
WAYS = ("named", "missing", "another", "shifted")
SHIPS = "soft minimum"
RANKINGS = (SHIPS, "mean probability", "contradicted area")


def masks_of(frames: SegmentedImages) -> np.ndarray:
    """(n, SIDE, SIDE)"""
    small = (Image.fromarray(frames.mask(k)).resize((SIDE, SIDE), Image.Resampling.NEAREST) for k in range(len(frames)))
    masks = np.stack([np.array(mask) for mask in small])
    masks[masks >= CLASSES] = learning.IGNORE
    return masks


def spoilt(masks: np.ndarray, position: int, way: str, random: np.random.Generator) -> np.ndarray:
    """The wrong mask of one frame."""
    mask = masks[position]
    if way == "another":
        return masks[random.choice(np.delete(np.arange(len(masks)), position))]
    if way == "shifted":
        return np.roll(mask, (round(0.12 * SIDE),) * 2, axis=(0, 1))
    counts = np.bincount(mask[mask < CLASSES], minlength=CLASSES)
    largest = counts.argmax()
    which = random.choice([k for k in np.flatnonzero(counts >= 0.01 * counts.sum()) if k != largest])
    other = largest if way == "missing" else random.choice(np.delete(np.arange(CLASSES), which))
    return np.where(mask == which, other, mask).astype(np.uint8)


def out_of_fold(patches: np.ndarray, masks: np.ndarray, layout: learning.PatchLayout) -> np.ndarray:
    """Probabilities (n, CELLS, CELLS, classes)."""
    how, fold = learning.PRETRAINED_PATCHES, learning.folds(len(masks))
    logits = np.empty((len(masks), CELLS, CELLS, CLASSES), np.float32)
    for k in range(learning.FOLDS):
        seen, held_out = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
        most = -(-how.most_cells(layout.channels, CLASSES) // len(seen))
        parts = [
            layout.sampled(patches[some], learning.mask_shares(masks[some], CLASSES, layout.side), most)
            for some in np.array_split(seen, 8)
        ]
        cells, shares = (np.concatenate(each) for each in zip(*parts, strict=True))
        head = learning.fit_pixel_head(cells, shares, balance=BALANCE, how=how)
        for some in np.array_split(held_out, 4):
            logits[some] = layout.logits(patches[some], head, side=CELLS)
    return softmax(logits.reshape(-1, CLASSES)).reshape(logits.shape)


def play(patches: np.ndarray, masks: np.ndarray, layout: learning.PatchLayout, seed: int) -> dict[str, object]:
    """One run: what each score finds."""
    random = np.random.default_rng(seed)
    wrong = random.permutation(len(masks))[: round(WRONG * len(masks))]
    ways = {int(position): WAYS[k % len(WAYS)] for k, position in enumerate(wrong)}
    given = masks.copy()
    for position, way in ways.items():
        given[position] = spoilt(masks, position, way, random)
    p, fitting = timed(out_of_fold, patches, given, layout)
    shares = learning.mask_shares(given, CLASSES, CELLS)
    found, ranking = timed(errors_of_masks, shares, p)
    agreement = (shares * p).sum(axis=(1, 2, 3)) / np.maximum(shares.sum(axis=(1, 2, 3)), 1e-9)
    by_area = found.positions[(-found.contradicted).argsort(kind="stable")]
    orders = dict(zip(RANKINGS, (found.positions, agreement.argsort(), by_area), strict=True))
    first = set(found.positions[: round(FIRST * len(masks))].tolist())
    is_wrong = np.isin(np.arange(len(masks)), wrong)
    of_way = {way: [position for position in ways if ways[position] == way] for way in WAYS}
    return {
        "masks": len(masks),
        "wrong": len(wrong),
        "found": {key: round(found_first(is_wrong[order]), 4) for key, order in orders.items()},
        "average_precision": {key: round(average_precision(is_wrong[order]), 4) for key, order in orders.items()},
        "ways": {way: [len(first.intersection(those)), len(those)] for way, those in of_way.items()},
        "seconds": [round(fitting, 1), round(ranking, 2)],
    }


def patches_of(frames: SegmentedImages, encoder: learning.Encoder) -> np.ndarray:
    """(n, size)"""
    path = EMBEDDED / f"{frames.digest}-{SEEN}-patches.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, embedded(frames, encoder)[1])
    return np.load(path)


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="*", default=["train", "test"], choices=["train", "test"])
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for part in options.parts:
        missing = [seed for seed in range(options.seeds) if not RUNS.has(part, seed)]
        if missing:
            encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=True, input_size=SEEN)
            assert encoder.patches is not None
            frames = datasets.camvid(part)
            patches, masks = patches_of(frames, encoder), masks_of(frames)
            for seed in missing:
                RUNS.add({"row": part, "seed": seed, **play(patches, masks, encoder.patches, seed)})
    show()


def show() -> None:
    rows = []
    for part in ("train", "test"):
        runs = RUNS.of(part)
        if runs:
            found = [spread([100 * run["found"][key] for run in runs]) for key in RANKINGS]
            ways = [" of ".join(str(sum(run["ways"][way][k] for run in runs)) for k in (0, 1)) for way in WAYS]
            size = f"{runs[0]['wrong']} of {runs[0]['masks']}"
            rows.append([part, size, str(len(runs)), *found, *ways])
    head = ["frames", "wrong", "n", *RANKINGS, *(f"{way}: found" for way in WAYS)]
    RUNS.write_table(head, rows)


if __name__ == "__main__":
    main()
