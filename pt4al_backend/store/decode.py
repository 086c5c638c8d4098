"""Decodes image files of any format to small upright RGB arrays, in this process.

Nothing here bounds the time and memory that a file costs: `decoders.Decoders` decodes the files of other people in
processes that can be killed.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.store.cut_files import completed

Image.init()  # registers the formats once, now, and not in whichever thread opens the first image
WANTED = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM")  # never EPS: it runs code
FORMATS = tuple(name for name in WANTED if name in Image.OPEN)
TURN = {  # EXIF orientation -> the operation that turns the image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION, SHORT = 0x0112, 3
TURNED = ("JPEG", "MPO", "PNG", "AVIF")
"""Formats that Chromium turns by EXIF, which do not include WebP. For AVIF, Pillow passes `irot` and `imir` on as EXIF.
No browser shows TIFF; Pillow itself turns its pixels and its size."""
ENOUGH = 0.95  # fraction of intact rows from which a file that ends early is used
DEPTHS = (255, 1023, 4095, 16383, 65535)  # white of 8, 10, 12, 14 and 16 bits
BAND_PIXELS = 1_000_000
SILENCE = ("ignore", None, Warning, re.compile(r"PIL\."), 0)


@dataclass(frozen=True)
class OpenImage:
    """An image file whose header has been read, to be squashed to (side, side) for each of `sides`."""

    data: bytes
    image: Image.Image
    sides: tuple[int, ...]
    orientation: int
    """EXIF orientation, 1 to 8."""
    width: int
    """Width of the upright image in pixels."""
    height: int
    """Height of the upright image in pixels."""

    def pixels(self) -> tuple[list[NDArray[np.uint8]], str]:
        """Decode the image once.

        Returns:
            For each side the array described at `decode`, and a note about what is odd about the file, or "".

        Raises:
            UnreadableImageError: The image cannot be decoded.
        """
        note = ""
        try:
            squashed = _squashed(self.image, self.sides)
        except MemoryError:
            raise
        except Exception as error:  # decoders may raise anything on hostile bytes
            squashed, note = self._rescued(error)
        if self.orientation in TURN:
            squashed = [each.transpose(TURN[self.orientation]) for each in squashed]
        return [np.array(each.convert("RGB")) for each in squashed], note

    def _rescued(self, error: Exception) -> tuple[list[Image.Image], str]:
        """The image as far as it can be decoded, with a note, if nearly all of it is intact."""
        format_, partial = self.image.format, None
        try:
            partial = completed(self.data, lambda data: _open(data, max_pixels=None))
            if partial is not None and partial[1] >= ENOUGH:
                note = f"The {format_} file ends early or is damaged: {_share(partial[1])} can be read."
                return _squashed(_drafted(partial[0], self.sides), self.sides), note
        except MemoryError:
            raise
        except Exception:  # the file is worse than cut: the first error says more
            partial = None
        readable = f" ({_share(partial[1])} can be read)" if partial else ""
        raise UnreadableImageError(f"The {format_} file is damaged: {_plain(error)}{readable}.") from error


def decode(data: bytes, *, size: int, max_pixels: int = 100_000_000) -> NDArray[np.uint8]:
    """Decode an image to upright RGB, squashed to a square with antialiasing.

    Transparency is laid over white; animations give their first frame. Samples of more than 8 bits are
    scaled by the depth that their brightest pixel needs, so that a 12-bit scan in a 16-bit file is not black.

    Args:
        data: The bytes of the file.
        size: Height and width of the result in pixels.
        max_pixels: The largest width x height, checked on the header before any pixels are decoded. Pillow's own
            limit of 178 million pixels applies as well.

    Returns:
        A (size, size, 3) uint8 array.

    Raises:
        UnreadableImageError: The image cannot be decoded; the text says why.
    """
    (pixels,), _ = open_image(data, size, max_pixels=max_pixels).pixels()
    return pixels


def probe_size(data: bytes) -> tuple[int, int]:
    """Read the width and height of the upright image from the header.

    Raises:
        UnreadableImageError: The header cannot be read.
    """
    opened = open_image(data)
    return opened.width, opened.height


def open_image(data: bytes, *sides: int, max_pixels: int | None = None) -> OpenImage:
    """Read the header of an image. Only with `sides` can its pixels be decoded.

    Raises:
        UnreadableImageError: The header cannot be read, or announces more than `max_pixels`.
    """
    image = _open(data, max_pixels=max_pixels)
    orientation, (width, height) = _orientation(image), image.size
    if orientation >= 5:
        width, height = height, width
    return OpenImage(data, _drafted(image, sides) if sides else image, sides, orientation, width, height)


def _open(data: bytes, *, max_pixels: int | None) -> Image.Image:
    """The image, before its pixels are read."""
    if not data:
        raise UnreadableImageError("The file is empty.")
    _silence_pillow()
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise UnreadableImageError(_what_it_is(data)) from None
    except Image.DecompressionBombError as error:
        raise UnreadableImageError(f"The image is too large: {_plain(error)}.") from error
    except MemoryError:
        raise
    except Exception as error:  # see OpenImage.pixels
        raise UnreadableImageError(f"The image file is damaged: {_plain(error)}.") from error
    width, height = image.size
    if width < 1 or height < 1:
        raise UnreadableImageError(f"The image is empty: {width} x {height} pixels.")
    if max_pixels is not None and width * height > max_pixels:
        raise UnreadableImageError(
            f"The image is too large: {width} x {height} pixels, the limit is {max_pixels:,} pixels."
        )
    return image


def _drafted(image: Image.Image, sides: Sequence[int]) -> Image.Image:
    side = 2 * max(sides)
    image.draft(None, (side, side))  # a JPEG is then decoded at a fraction of its size
    return image


def _squashed(image: Image.Image, sides: Sequence[int]) -> list[Image.Image]:
    image.load()
    image = _eight_bits(image)
    squashed = [image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0) for side in sides]
    return [_over_white(each) if each.mode == "RGBa" else each for each in squashed]


def _share(rows: float) -> str:
    return "all of its rows" if rows == 1 else f"{int(100 * rows)} % of its rows"


def _silence_pillow() -> None:
    """Ignore Pillow's warnings about odd files: our notes and errors replace them.

    The filter is installed once and stays: with `warnings.catch_warnings`, threads would undo each other's filters.
    It is installed again only if somebody put another filter in front.
    """
    if warnings.filters[0] != SILENCE:
        warnings.filterwarnings("ignore", module=SILENCE[3].pattern)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation as browsers, and therefore annotators, see it: XMP and damaged EXIF are ignored."""
    raw: object = image.info.get("exif")
    if image.format not in TURNED or not isinstance(raw, bytes):
        return 1
    exif = raw.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    try:
        (start,) = struct.unpack_from(f"{order}I", exif, 4)
        (entries,) = struct.unpack_from(f"{order}H", exif, start)
        for entry in range(entries):
            tag, kind, count, value = struct.unpack_from(f"{order}HHIH", exif, start + 2 + 12 * entry)
            if (tag, kind, count) == (ORIENTATION, SHORT, 1):
                return value if value in TURN else 1
    except struct.error:
        pass
    return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """The loaded image in a mode that can be resized with antialiasing: L, RGB or RGBa (premultiplied)."""
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_scaled(image))
    if image.has_transparency_data:
        return (image if image.mode == "RGBA" else image.convert("RGBA")).convert("RGBa")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _scaled(image: Image.Image) -> NDArray[np.uint8]:
    """Scale samples of more than 8 bits to 0..255.

    Unsigned integers are scaled by their bit depth, floats up to 1.0 by 1.0, and anything else from its minimum
    to its maximum. NaN and infinities become black or white. Works in bands, because float copies of a
    100-megapixel image would take gigabytes.

    Returns:
        An (H, W) array.
    """
    low, high = np.inf, -np.inf
    for band in _bands(image):
        finite = band[np.isfinite(band)]
        low, high = float(finite.min(initial=low)), float(finite.max(initial=high))
    if low > high:  # no sample is finite
        low = high = 0.0
    if low >= 0 and high <= DEPTHS[-1]:
        low = 0.0
        high = 1.0 if image.mode == "F" and high <= 1 else next(depth for depth in DEPTHS if high <= depth)
    scale = 255.0 / (high - low) if high > low else 0.0
    shades = [
        ((np.nan_to_num(band, nan=low, posinf=high, neginf=low) - low) * scale + 0.5).astype(np.uint8)
        for band in _bands(image)
    ]
    return np.concatenate(shades)


def _bands(image: Image.Image) -> Iterator[NDArray[np.float64]]:
    """The image as float64 bands of a few rows each."""
    rows = max(1, BAND_PIXELS // image.width)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        yield np.array(image.crop((0, top, image.width, bottom)), dtype=np.float64)


def _over_white(premultiplied: Image.Image) -> Image.Image:
    pixels = np.asarray(premultiplied).astype(np.int16)
    return Image.fromarray(np.minimum(pixels[..., :3] + 255 - pixels[..., 3:], 255).astype(np.uint8))


def _what_it_is(data: bytes) -> str:
    """A sentence about bytes that no decoder recognizes."""
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "A web page, not an image: give the address of the image file itself."
    if start.startswith(b"<") and b"<svg" in start:
        return "An SVG drawing has no pixels to learn from: export it as PNG."
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1"):
        return "HEIC images cannot be read: convert them to JPEG or PNG."
    for name in FORMATS:
        _, accepts = Image.OPEN[name]
        if accepts is not None and accepts(data[:16]):
            return f"The {name} file is damaged: its header makes no sense."
    return f"Not an image that can be read; known are {', '.join(FORMATS)}."


def _plain(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
