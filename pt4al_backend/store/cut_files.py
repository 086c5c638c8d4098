"""Image files that end early or are damaged near their end: browsers show them, so people label them.

The number of intact rows is measured, not guessed: the file is decoded twice, with different fillings for the
missing part. Rows that are equal in both do not depend on the filling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

JPEG_END, SCAN = b"\xff\xd9", b"\xff\xda"
OTHER_SCAN = bytes(k * 166 % 254 + 1 for k in range(1, 4000))  # fills the missing part: any bytes but a marker
BANDS = 16  # rows that are hashed together

Open = Callable[[bytes], Image.Image]
"""Opens the image in a file without reading its pixels."""


def completed(data: bytes, open_: Open) -> tuple[Image.Image, float] | None:
    """Open an image whose file ends early.

    Raises whatever the decoders raise. Not thread-safe: sets a global flag of Pillow for a moment.

    Returns:
        The image with its missing part filled (now or when it is loaded), and the fraction of its rows that are
        intact. None for a format that browsers do not show in part: WebP, AVIF, TIFF.
    """
    format_ = open_(data).format
    if format_ in ("JPEG", "MPO"):
        return _completed_jpeg(data, open_)
    return _filled(data, open_) if format_ in ("PNG", "GIF", "BMP") else None


def _completed_jpeg(data: bytes, open_: Open) -> tuple[Image.Image, float]:
    """Append an end marker: without it the decoder waits for more data and drops the last blocks."""
    data = data.rstrip(b"\xff")  # half a marker
    image = open_(data + JPEG_END)
    if image.info.get("progressive") and SCAN in data[_first_scan(image) :]:
        return image, 1.0  # the first scan, a rough version of the whole image, is complete: browsers show it
    rows, other_rows = (list(_rows(open_(data + rest))) for rest in (JPEG_END, OTHER_SCAN + JPEG_END))
    equal = [row == other for row, other in zip(rows, other_rows, strict=True)]
    intact = equal.index(False) if False in equal else len(equal)
    return image, intact / len(equal)


def _first_scan(image: Image.Image) -> int:
    """Offset of the first scan of a JPEG that was just opened."""
    assert isinstance(image, ImageFile.ImageFile) and image.fp is not None
    return image.fp.tell()


def _filled(data: bytes, open_: Open) -> tuple[Image.Image, float]:
    """Decode row by row as far as possible; the rest is white."""
    with _cut_files_allowed():
        on_black = list(_rows(_loaded_over(open_(data), 0)))
        image = _loaded_over(open_(data), 255)
    equal = [row == other for row, other in zip(_rows(image), on_black, strict=True)]
    return image, sum(equal) / len(equal)


def _loaded_over(image: Image.Image, fill: int) -> Image.Image:
    """The image, decoded over pixels of the value `fill`."""
    assert isinstance(image, ImageFile.ImageFile)
    image.load_prepare()
    bands = len(image.getbands())
    image.im.paste((fill,) * bands if bands > 1 else fill, (0, 0, *image.size))
    image.load_prepare = lambda: None  # type: ignore[method-assign]  # otherwise a GIF starts from its own background
    image.load()
    return image


@contextmanager
def _cut_files_allowed() -> Iterator[None]:
    ImageFile.LOAD_TRUNCATED_IMAGES = True
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = False


def _rows(image: Image.Image) -> Iterator[bytes]:
    """A digest of each row."""
    image.load()
    for top in range(0, image.height, BANDS):
        height = min(BANDS, image.height - top)
        band = image.crop((0, top, image.width, top + height)).tobytes()
        width = len(band) // height
        for row in range(height):
            yield hashlib.blake2b(band[row * width : (row + 1) * width], digest_size=16).digest()
