"""Drawings with masks for simulations: every pixel is known except for a strip at the left."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.datasets.known_images import SegmentedImages
from pt4al_backend.datasets.mask_folders import read_masks
from pt4al_backend.settings import Settings
from support.coloured_shapes import SHAPES, png, shape_mask, shape_png

CLASSES = (*SHAPES, "background")
UNKNOWN = 255
HEIGHT, WIDTH = 48, 64
QUICK = {
    "PT4AL_ENCODER": "rotation",
    "PT4AL_PRETEXT_EPOCHS": "1",
    "PT4AL_MAIN_EPOCHS": "2",
    "PT4AL_IMAGE_SIZE": "32",
    "PT4AL_UNLABELLED_PIXELS": "background",  # masks say themselves what is background
    "OMP_NUM_THREADS": "1",
}


def truth(index: int) -> NDArray[np.uint8]:
    """The mask of an image, (HEIGHT, WIDTH)."""
    mask = shape_mask(index)[:HEIGHT].copy()
    mask[:, :4] = UNKNOWN
    return mask


def write_shapes(root: Path, n: int) -> Path:
    """Write `images` and `masks` of the first n drawings, cropped to landscape format."""
    for directory in ("images", "masks"):
        (root / directory).mkdir(parents=True)
    for index in range(n):
        pixels = np.array(Image.open(io.BytesIO(shape_png(index))))[:HEIGHT]
        (root / "images" / f"{index:02}.png").write_bytes(png(pixels))
        (root / "masks" / f"{index:02}.png").write_bytes(png(truth(index)))
    (root / "masks" / "classes.txt").write_text("\n".join(CLASSES))
    return root


def read_all(root: Path) -> SegmentedImages:
    """All drawings that `write_shapes` wrote."""
    return read_masks(root / "images", root / "masks")


def mask_settings(data_dir: Path, **changes: Any) -> Settings:
    """The settings of a quick simulation."""
    quick = {
        "encoder": "rotation",
        "pretext_epochs": 1,
        "main_epochs": 2,
        "image_size": 32,
        "train_growth": 0,
        "device": "cpu",
        "unlabelled_pixels": "ignore",
    }
    return Settings(**{**quick, "data_dir": data_dir, **changes})
