"""How much of a file that ends early is intact. For the decoded images see `test_decode.py`."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageFile

from pt4al_backend.store.cut_files import completed


def open_(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def image_file(kind: str, **options: object) -> bytes:
    """160 rows that all differ."""
    pixels = np.random.default_rng(0).integers(0, 256, (160, 96, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
@pytest.mark.parametrize("part", [0.25, 0.5, 0.9])
def test_the_fraction_of_intact_rows_is_about_that_of_the_bytes(kind: str, part: float) -> None:
    data = image_file(kind)
    found = completed(data[: int(len(data) * part)], open_)
    assert found is not None
    image, share = found
    image.load()
    assert image.size == (96, 160)
    assert share == pytest.approx(part, abs=0.15)
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_a_progressive_jpeg_with_a_complete_first_scan_is_complete() -> None:
    data = image_file("JPEG", progressive=True)
    found = completed(data[: int(len(data) * 0.7)], open_)
    assert found is not None and found[1] == 1.0


@pytest.mark.parametrize("kind", ["WEBP", "TIFF"])
def test_formats_that_browsers_do_not_show_in_part(kind: str) -> None:
    data = image_file(kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert completed(data, open_) is None
