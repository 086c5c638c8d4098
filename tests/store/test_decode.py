from __future__ import annotations

import io
import re
import struct
import time
import warnings
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.store.decode import decode, open_image, probe_size

RED, GREEN, BLUE, GREY = (200, 40, 40), (40, 180, 60), (50, 60, 210), (128, 128, 128)
QUARTERS = ((RED, GREEN), (BLUE, GREY))  # top left, top right; bottom left, bottom right
UNDO = {  # brings an upright image into the shape that an EXIF orientation describes
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def quarters(width: int = 48, height: int = 32) -> Image.Image:
    image = Image.new("RGB", (width, height))
    for row, colours in enumerate(QUARTERS):
        for column, colour in enumerate(colours):
            image.paste(colour, (column * width // 2, row * height // 2, width, height))
    return image


def file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(pixels: np.ndarray) -> np.ndarray:
    """(2, 2, 3): the colours in the middle of the four quarters."""
    quarter = len(pixels) // 4
    return pixels[quarter :: 2 * quarter, quarter :: 2 * quarter]


def assert_upright(data: bytes, *, tolerance: int = 12) -> None:
    pixels = decode(data, size=16)
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    np.testing.assert_allclose(corners(pixels).astype(int), np.array(QUARTERS), atol=tolerance)
    assert probe_size(data) == (48, 32)


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width: int, height: int, *, body: bytes, interlace: int = 0) -> bytes:
    """A PNG of 8-bit RGB whose filtered rows are given."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, interlace)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def interlaced(image: Image.Image) -> bytes:
    """Adam7, which Pillow reads but does not write."""
    pixels, body = np.asarray(image), b""
    for top, left, down, right in (
        (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
    ):  # fmt: skip
        body += b"".join(b"\0" + row.tobytes() for row in pixels[top::down, left::right])
    return png(image.width, image.height, body=body, interlace=1)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(file(quarters(), "JPEG", quality=95), id="jpeg"),
        pytest.param(file(quarters(), "JPEG", quality=95, progressive=True), id="progressive jpeg"),
        pytest.param(file(quarters().convert("CMYK"), "JPEG", quality=95), id="Adobe CMYK jpeg"),
        pytest.param(file(quarters().convert("CMYK"), "TIFF"), id="CMYK tiff"),
        pytest.param(file(quarters(), "PNG"), id="png"),
        pytest.param(interlaced(quarters()), id="interlaced png"),
        pytest.param(file(quarters().quantize(8), "PNG"), id="palette png"),
        pytest.param(file(quarters().convert("RGBA"), "PNG"), id="opaque rgba png"),
        pytest.param(file(quarters(), "WEBP", quality=95), id="webp"),
        pytest.param(file(quarters(), "WEBP", lossless=True), id="lossless webp"),
        pytest.param(file(quarters().quantize(8), "GIF"), id="gif"),
        pytest.param(file(quarters(), "BMP"), id="bmp"),
        pytest.param(file(quarters(), "TIFF"), id="tiff"),
        pytest.param(file(quarters(), "TIFF", compression="tiff_lzw"), id="lzw tiff"),
        pytest.param(file(quarters(), "PPM"), id="ppm"),
        pytest.param(file(quarters().convert("YCbCr"), "TIFF"), id="ycbcr tiff"),
    ],
)
def test_colour_files(data: bytes) -> None:
    assert_upright(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "AVIF", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(kind: str, orientation: int) -> None:
    """As browsers do it (`test_images_in_browser.py`); a TIFF, which they do not show, as it says."""
    turn, exif = UNDO[orientation], Image.Exif()
    exif[0x0112] = orientation
    stored = quarters() if turn is None or kind == "WEBP" else quarters().transpose(turn)
    options: dict[str, object] = {"quality": 95} if kind in ("JPEG", "AVIF", "WEBP") else {}
    assert_upright(file(stored, kind, exif=exif, **options), tolerance=16)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animations_give_their_first_frame(kind: str) -> None:
    other = [Image.new("RGB", (48, 32), "white")]
    assert_upright(file(quarters(), kind, save_all=True, append_images=other))


def test_the_whole_image_is_squashed_with_antialiasing() -> None:
    stripes = np.zeros((64, 300, 3), np.uint8)
    stripes[:, ::2] = 255
    wide = decode(file(Image.fromarray(stripes), "PNG"), size=8)
    np.testing.assert_allclose(wide.astype(int), 127, atol=4)
    edge = np.zeros((8, 800, 3), np.uint8)
    edge[:, 700:] = 255
    assert decode(file(Image.fromarray(edge), "PNG"), size=8)[:, -1].min() > 200


def test_small_images_are_enlarged() -> None:
    assert (decode(file(Image.new("RGB", (1, 1), RED), "PNG"), size=8) == RED).all()


def test_a_large_jpeg_looks_the_same_as_its_png() -> None:
    large = quarters().resize((2000, 1500), Image.Resampling.BICUBIC)
    from_jpeg = decode(file(large, "JPEG", quality=95), size=16).astype(int)
    np.testing.assert_allclose(from_jpeg, decode(file(large, "PNG"), size=16), atol=8)


def grey_of(data: bytes) -> list[int]:
    """The four quarters' greys."""
    pixels = decode(data, size=16)
    assert (pixels == pixels[..., :1]).all()
    return corners(pixels)[..., 0].ravel().tolist()


def fields(values: list[float], dtype: str) -> Image.Image:
    return Image.fromarray(np.kron(np.array(values).reshape(2, 2), np.ones((16, 16))).astype(dtype))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("values", "greys"),
    [
        ([0, 16384, 32768, 65535], [0, 64, 128, 255]),
        ([0, 1024, 2048, 4095], [0, 64, 128, 255]),  # a 12-bit camera
        ([0, 64, 128, 255], [0, 64, 128, 255]),  # 8 bits in a 16-bit file
        ([0, 0, 0, 0], [0, 0, 0, 0]),
    ],
)
def test_sixteen_bit_greys_keep_their_shades(kind: str, values: list[float], greys: list[int]) -> None:
    np.testing.assert_allclose(grey_of(file(fields(values, "uint16"), kind)), greys, atol=1)


@pytest.mark.parametrize(
    ("values", "dtype", "greys"),
    [
        ([0, 1024, 2048, 4095], "int32", [0, 64, 128, 255]),
        ([-1000, -500, 0, 1000], "int32", [0, 64, 128, 255]),  # such as Hounsfield units
        ([0, 1_000_000, 2_000_000, 4_000_000], "int32", [0, 64, 128, 255]),
        ([0, 0.25, 0.5, 1.0], "float32", [0, 64, 128, 255]),
        ([0, 0.25, 0.25, 0.5], "float32", [0, 64, 64, 128]),
        ([0, 64, 128, 255], "float32", [0, 64, 128, 255]),
        ([-4, -2, 0, 4], "float32", [0, 64, 128, 255]),
        ([np.nan, 0.25, 0.5, np.inf], "float32", [0, 64, 128, 255]),
        ([-np.inf, -4, 4, np.nan], "float32", [0, 0, 255, 0]),
        ([np.nan, np.nan, np.nan, np.nan], "float32", [0, 0, 0, 0]),
        ([7e9, 7e9, 7e9, 7e9], "float32", [0, 0, 0, 0]),
    ],
)
def test_thirty_two_bit_samples(values: list[float], dtype: str, greys: list[int]) -> None:
    np.testing.assert_allclose(grey_of(file(fields(values, dtype), "TIFF")), greys, atol=1)


def test_big_endian_sixteen_bit_tiff() -> None:
    samples = np.kron([[0, 16384], [32768, 65535]], np.ones((16, 16))).astype(">u2")
    entries = ((256, 3, 32), (257, 3, 32), (258, 3, 16), (259, 3, 1), (262, 3, 1), (273, 4, 134), (277, 3, 1),
               (278, 3, 32), (279, 4, 2048))  # fmt: skip
    data = b"MM\0*\0\0\0\x08" + struct.pack(">H", len(entries))
    for tag, type_, value in entries:
        data += struct.pack(">HHI", tag, type_, 1) + struct.pack(">HH" if type_ == 3 else ">I", *(
            (value, 0) if type_ == 3 else (value,)
        ))  # fmt: skip
    data = (data + bytes(4)).ljust(134, b"\0") + samples.tobytes()
    np.testing.assert_allclose(grey_of(data), [0, 64, 128, 255], atol=1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_eight_bit_grey(kind: str) -> None:
    np.testing.assert_allclose(grey_of(file(fields([0, 64, 128, 255], "uint8"), kind)), [0, 64, 128, 255], atol=3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_one_bit_images_are_antialiased_too(kind: str) -> None:
    checks = Image.fromarray((np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)).convert("1", dither=0)
    np.testing.assert_allclose(decode(file(checks, kind), size=8).astype(int), 127, atol=10)


def transparent_palette() -> Image.Image:
    image = Image.new("P", (32, 32), 0)
    image.putpalette([*RED, *GREEN])
    image.paste(1, (16, 0, 32, 32))
    return image


@pytest.mark.parametrize(
    ("data", "left", "right"),
    [
        (file(transparent_palette(), "PNG", transparency=0), (255, 255, 255), GREEN),
        (file(transparent_palette(), "PNG", transparency=bytes([255, 0])), RED, (255, 255, 255)),
        (file(transparent_palette(), "GIF", transparency=0), (255, 255, 255), GREEN),
        (file(Image.new("RGBA", (8, 8), (*RED, 0)), "PNG"), (255, 255, 255), (255, 255, 255)),
        (file(Image.new("RGBA", (8, 8), (0, 0, 0, 51)), "PNG"), (204, 204, 204), (204, 204, 204)),
        (file(Image.new("RGBA", (8, 8), (*RED, 0)), "WEBP", lossless=True), (255,) * 3, (255,) * 3),
        (file(Image.new("LA", (8, 8), (100, 255)), "PNG"), (100,) * 3, (100,) * 3),
        (file(Image.new("LA", (8, 8), (0, 102)), "PNG"), (153,) * 3, (153,) * 3),
        (file(Image.new("RGB", (8, 8), RED), "PNG", transparency=RED), (255,) * 3, (255,) * 3),
        (file(Image.new("L", (8, 8), 9), "PNG", transparency=9), (255,) * 3, (255,) * 3),
    ],
)
def test_transparency_is_laid_over_white(data: bytes, left: tuple[int, ...], right: tuple[int, ...]) -> None:
    pixels = decode(data, size=16).astype(int)
    np.testing.assert_allclose(pixels[:, :6], np.broadcast_to(left, (16, 6, 3)), atol=2)
    np.testing.assert_allclose(pixels[:, 10:], np.broadcast_to(right, (16, 6, 3)), atol=2)


def test_colours_under_transparent_pixels_do_not_bleed() -> None:
    """Averaged before compositing, the black under the transparent half would darken the edge."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, 1::2] = 255
    assert decode(file(Image.fromarray(pixels), "PNG"), size=8).min() >= 254


def noise(kind: str, **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return file(Image.fromarray(pixels), kind, **options)


@pytest.mark.parametrize(
    "data",
    [noise("JPEG"), noise("PNG"), noise("GIF"), noise("WEBP"), noise("BMP"), noise("TIFF"),
     noise("TIFF", compression="tiff_lzw")],
    ids=["jpeg", "png", "gif", "webp", "bmp", "tiff", "lzw tiff"],
)  # fmt: skip
def test_truncated_files_are_unreadable_and_say_why(data: bytes) -> None:
    decode(data, size=8)
    with pytest.raises(UnreadableImageError, match=r"file is damaged: .+\.$"):
        decode(data[: len(data) // 2], size=8)


def photograph(width: int = 400, height: int = 300) -> Image.Image:
    """Soft shapes without equal rows."""
    blots = np.random.default_rng(0).integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
    return Image.fromarray(blots).resize((width, height), Image.Resampling.BICUBIC)


WHOLE = {
    "jpeg": file(photograph(), "JPEG", quality=90),
    "grey jpeg": file(photograph().convert("L"), "JPEG", quality=90),
    "progressive jpeg": file(photograph(), "JPEG", quality=90, progressive=True),
    "jpeg with restarts": file(photograph(), "JPEG", quality=90, restart_marker_rows=1),
    "mpo": file(photograph(), "MPO", quality=90, save_all=True, append_images=[photograph(200, 150)]),
    "png": file(photograph(), "PNG"),
    "rgba png": file(photograph().convert("RGBA"), "PNG"),
    "16-bit png": file(Image.fromarray(np.asarray(photograph().convert("L")).astype(np.uint16) * 257), "PNG"),
    "palette png": file(photograph().quantize(64), "PNG"),
    "interlaced png": interlaced(photograph()),
    "gif": file(photograph().quantize(64), "GIF"),
    "gif, not interlaced": file(photograph().quantize(64), "GIF", interlace=0),
    "transparent gif": file(photograph().quantize(64), "GIF", transparency=200, interlace=0),
    "bmp": file(photograph(), "BMP"),
}
HIDDEN = {  # formats of which Chromium shows nothing
    "webp": file(photograph(), "WEBP", quality=90),
    "lossless webp": file(photograph(), "WEBP", lossless=True),
    "avif": file(photograph(), "AVIF", quality=90),
    "tiff": file(photograph(), "TIFF"),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("side", [16, 400])
def test_files_with_a_small_missing_part_are_read_with_a_note(name: str, side: int) -> None:
    """Wherever a file is cut, its intact part is read, and the reported fraction of its rows is right.

    A progressive JPEG has all its rows after its first scan; the other scans add detail.
    """
    data = WHOLE[name]
    end = data.index(b"\xff\xd9") + 2 if name == "mpo" else len(data)
    truth, height = open_image(data, side).pixels()[0][0].astype(int), 300
    for lacks in (1, 2, 3, 10, *(round(end * share) for share in (0.01, 0.02, 0.03, 0.04, 0.1, 0.2, 0.5))):
        try:
            (pixels,), note = open_image(data[: end - lacks], side).pixels()
        except UnreadableImageError as error:
            share = re.search(r"(\d+) % of its rows can be read", str(error))
            assert share is not None and int(share[1]) < 95 and lacks > end / 100
            continue
        assert lacks < end / 10 or name == "progressive jpeg"
        assert note or (pixels == truth).all()  # a GIF or a PNG may end without its end mark
        there = re.fullmatch(r"The \w+ file ends early or is damaged: (all|\d+ %) of its rows can be read.", note)
        assert there is not None or not note
        share_read = 100 if there is None or there[1] == "all" else int(there[1].split()[0])
        rows = [k for k in range(side) if (k + 3) * height / side < height * share_read / 100]
        if name == "bmp":  # from the bottom up
            rows = [side - 1 - k for k in rows]
        if name not in ("interlaced png", "gif"):
            apart = abs(pixels[rows] - truth[rows])
            assert apart.mean() < 6 if name == "progressive jpeg" else apart.max() <= 3, (lacks, note)


@pytest.mark.parametrize("name", ["jpeg", "progressive jpeg", "png"])
def test_a_file_without_its_end_marker_is_complete(name: str) -> None:
    data = WHOLE[name]
    (whole,), note = open_image(data[:-2], 400).pixels()
    np.testing.assert_array_equal(whole, open_image(data, 400).pixels()[0][0])
    assert note in ("", f"The {name.split()[-1].upper()} file ends early or is damaged: all of its rows can be read.")


@pytest.mark.parametrize("name", HIDDEN)
@pytest.mark.parametrize("lacks", [2, 400])
def test_cut_files_that_browsers_do_not_show_are_unreadable(name: str, lacks: int) -> None:
    open_image(HIDDEN[name], 16).pixels()
    with pytest.raises(UnreadableImageError, match="damaged"):
        open_image(HIDDEN[name][:-lacks], 16).pixels()


def test_a_cut_file_does_not_affect_the_next_one() -> None:
    """The flag that lets Pillow read cut files is global."""
    open_image(WHOLE["png"][:-2000], 16).pixels()
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(WHOLE["png"][:-2000])).load()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "The file is empty."),
        (b"just text", "Not an image that can be read; known are JPEG, PNG"),
        (bytes(1000), "Not an image"),
        (b'<?xml version="1.0"?>\n<!-- a -->\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG drawing"),
        (b"\xef\xbb\xbf<SVG/>", "SVG drawing"),
        (b"<!DOCTYPE html><html><svg/></html>", "A web page"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC images cannot be read: convert them"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "Not an image"),
        (noise("JPEG")[:20], "The JPEG file is damaged"),
        (noise("PNG")[:20], "image file is damaged"),
        (png(0, 10, body=b""), "The PNG file is damaged|is empty"),
    ],
)
def test_files_that_are_no_images_are_rejected_with_a_sentence(data: bytes, says: str) -> None:
    with pytest.raises(UnreadableImageError, match=says):
        decode(data, size=8)
    with pytest.raises(UnreadableImageError, match=says):
        probe_size(data)


@pytest.mark.alone
@pytest.mark.parametrize(("width", "height"), [(10_001, 10_000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_rejected_by_their_header(width: int, height: int) -> None:
    began = time.monotonic()
    with pytest.raises(UnreadableImageError, match="too large"):
        decode(png(width, height, body=bytes(1000)), size=8)
    assert time.monotonic() - began < 2


def test_the_pixel_limit_is_the_callers() -> None:
    with pytest.raises(UnreadableImageError, match="48 x 32 pixels, the limit is 1,535 pixels"):
        decode(file(quarters(), "PNG"), size=8, max_pixels=1535)
    decode(file(quarters(), "PNG"), size=8, max_pixels=1536)


def bad_exif() -> bytes:
    """A JPEG whose EXIF block has entries that point outside it."""
    return file(quarters(), "JPEG", quality=95, exif=b"Exif\0\0II*\0\x08\0\0\0\x02\0" + b"\x12\x01\x02\0\xff" * 5)


def test_pillows_warnings_are_hidden_and_damaged_exif_costs_only_the_orientation() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert_upright(bad_exif())
        assert probe_size(png(9600, 9600, body=b"")) == (9600, 9600)  # Pillow warns from 89 million pixels
    assert caught == []


def test_threads_decode_at_once_with_warnings_as_errors() -> None:
    files = [bad_exif(), noise("PNG"), file(quarters().convert("CMYK"), "JPEG"), noise("WEBP")] * 50
    alone = [decode(data, size=8) for data in files[:4]] * 50
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda data: decode(data, size=8), files))
    np.testing.assert_array_equal(together, alone)


SAMPLES = [noise("JPEG"), noise("PNG"), noise("GIF"), noise("WEBP"), noise("TIFF"), bad_exif()]


@settings(max_examples=150, deadline=None)
@given(
    sample=st.sampled_from(SAMPLES),
    damage=st.lists(st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=8)), max_size=4),
)
@pytest.mark.parametrize("read", [lambda data: decode(data, size=8), probe_size], ids=["decode", "probe_size"])
def test_damaged_bytes_give_pixels_or_a_reason(
    read: Callable[[bytes], object], sample: bytes, damage: list[tuple[int, bytes]]
) -> None:
    data = bytearray(sample)
    for place, bytes_ in damage:
        data[place : place + len(bytes_)] = bytes_
    try:
        read(bytes(data))
    except UnreadableImageError as error:
        assert str(error).endswith(".")
