"""Pictures laid over each other."""

from __future__ import annotations

import numpy as np
from PIL import Image

from pt4al_backend.assessment.registration import likeness


def picture(seed: int, crop: float = 0.0) -> np.ndarray:
    """A smooth random picture, cropped on every side by this share."""
    small = np.random.default_rng(seed).integers(0, 255, (12, 12)).astype(np.uint8)
    image = Image.fromarray(small).resize((256, 256), Image.Resampling.BICUBIC)
    cut = int(256 * crop)
    return np.asarray(image.crop((cut, cut, 256 - cut, 256 - cut)).resize((32, 32), Image.Resampling.BILINEAR))


def test_a_crop_is_a_copy_and_another_picture_is_not() -> None:
    pictures = np.stack([picture(0), picture(0, crop=0.03), picture(1)])
    same, other = likeness(pictures, np.array([[0, 1], [0, 2]]))
    assert same > 0.9 > 0.6 > other


def test_no_pairs() -> None:
    assert likeness(np.stack([picture(0)]), np.empty((0, 2), np.int64)).shape == (0,)
