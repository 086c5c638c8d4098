"""Image files that end early or are damaged near their end: browsers show them, so people label them.

How many rows are there is measured, not guessed: the file is decoded twice, with different things in place of
what is missing. Rows that come out the same do not depend on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from PIL import Image, ImageFile

JPEG_END, SCAN = b"\xff\xd9", b"\xff\xda"
OTHER_SCAN = bytes(k * 166 % 254 + 1 for k in range(1, 4000))  # in place of what is missing: any bits but a marker
BANDS = 16  # rows whose bytes are looked at together

Open = Callable[[bytes], Image.Image]
"""The image in a file, its pixels not read yet."""


def completed(data: bytes, open_: Open) -> tuple[Image.Image, float] | None:
    """The image, its missing part as decoded (now or when it is loaded), and the share of its rows that are there.

    None for a format that browsers do not show in part: WebP, AVIF, TIFF. Raises what decoders do. Sets a flag
    of all Pillow for a moment: not for threads.
    """
    kind = open_(data).format
    if kind in ("JPEG", "MPO"):
        return _completed_jpeg(data, open_)
    return _filled(data, open_) if kind in ("PNG", "GIF", "BMP") else None


def _completed_jpeg(data: bytes, open_: Open) -> tuple[Image.Image, float]:
    """With an end mark. Without one the last blocks that are there would be left out: their decoder waits for more."""
    data = data.rstrip(b"\xff")  # half a marker
    image = open_(data + JPEG_END)
    if image.info.get("progressive") and SCAN in data[_first_scan(image) :]:
        return image, 1.0  # the first scan, a rough picture of it all, is over: browsers show that
    found, other = (list(_rows(open_(data + rest))) for rest in (JPEG_END, OTHER_SCAN + JPEG_END))
    same = [mine == its for mine, its in zip(found, other, strict=True)]
    there = same.index(False) if False in same else len(same)
    return image, there / len(same)


def _first_scan(image: Image.Image) -> int:
    """Where the first scan of a JPEG that was just opened begins."""
    assert isinstance(image, ImageFile.ImageFile) and image.fp is not None
    return image.fp.tell()


def _filled(data: bytes, open_: Open) -> tuple[Image.Image, float]:
    """Row by row as far as it goes; the rest is white."""
    with _cut_files_allowed():
        on_black = list(_rows(_loaded_over(open_(data), 0)))
        image = _loaded_over(open_(data), 255)
    same = [mine == its for mine, its in zip(_rows(image), on_black, strict=True)]
    return image, sum(same) / len(same)


def _loaded_over(image: Image.Image, fill: int) -> Image.Image:
    """The image, decoded onto pixels of this value."""
    assert isinstance(image, ImageFile.ImageFile)
    image.load_prepare()
    bands = len(image.getbands())
    image.im.paste((fill,) * bands if bands > 1 else fill, (0, 0, *image.size))
    image.load_prepare = lambda: None  # type: ignore[method-assign]  # else a GIF begins with pixels of its own
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
