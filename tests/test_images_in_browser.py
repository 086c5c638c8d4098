"""What Chromium shows of an image file is what we decode: nobody can annotate anything else."""

from __future__ import annotations

import base64
import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Page, sync_playwright

from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.store.decode import FORMATS, decode, open_image, probe_size

MIME = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "JPEG2000": "image/jp2", "PPM": "image/x-portable-pixmap"}
COLOURS = np.array([[(200, 40, 40), (40, 180, 60)], [(50, 60, 210), (128, 128, 128)]], dtype=np.uint8)
SHOW = """async address => {
  const image = new Image();
  image.src = address;
  try { await image.decode(); } catch { return null; }
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  return canvas.toDataURL();
}"""


@pytest.fixture(scope="module")
def page(chromium: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser.new_page()
        browser.close()


def shown(page: Page, data: bytes, kind: str) -> np.ndarray | None:
    """RGBA (height, width, 4) as Chromium draws it, None if it does not."""
    address = f"data:{MIME.get(kind, f'image/{kind.lower()}')};base64,{base64.b64encode(data).decode()}"
    answer = page.evaluate(SHOW, address)
    if answer is None:
        return None
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.partition(",")[2]))).convert("RGBA"))


def file(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def quarters() -> Image.Image:
    return Image.fromarray(COLOURS.repeat(16, axis=0).repeat(24, axis=1))


def exif(orientation: int, *, kind: int = 3, count: int = 1, tag: int = 0x0112, order: str = "<") -> bytes:
    """Of one entry, without the word Exif before it."""
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8)
    value = {1: "BBBB", 3: "HH", 4: "I"}[kind]
    numbers = (orientation, *[0] * (len(value) - 1))
    return start + struct.pack(f"{order}HHHI{value}I", 1, tag, kind, count, *numbers, 0)


def png_with(block: bytes, *, behind: bool = False) -> bytes:
    """A PNG with an eXIf chunk before its pixels or behind them."""
    data = file(quarters(), "PNG")
    place = data.index(b"IEND" if behind else b"IDAT") - 4
    content = b"eXIf" + block
    return (
        data[:place] + struct.pack(">I", len(block)) + content + struct.pack(">I", zlib.crc32(content)) + data[place:]
    )


def jpeg_with(*segments: bytes, before: bytes = b"") -> bytes:
    """A JPEG with these APP1 segments, at its beginning or before a marker."""
    data = file(quarters(), "JPEG", quality=95)
    place = data.index(before) if before else 2
    return data[:place] + b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments) + data[place:]


def raw_profile(block: bytes) -> bytes:
    """As ImageMagick writes EXIF into a PNG."""
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(block) + 6:8}\n{(b'Exif  ' + block).hex()}\n", zip=True)
    return file(quarters(), "PNG", pnginfo=info)


def avif_whose_exif_disagrees() -> bytes:
    """EXIF says 6; the file's own properties, of which browsers take it, say nothing."""
    data = file(quarters(), "AVIF", quality=95, exif=exif(6, tag=0x0113))
    place = data.index(struct.pack("<HHI", 0x0113, 3, 1))
    return data[:place] + struct.pack("<H", 0x0112) + data[place + 2 :]


XMP = (
    b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
    b'22-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF>'
    b"</x:xmpmeta>"
)
EXIF = b"Exif\0\0"
TURNED = {
    f"{kind} {orientation}": file(
        quarters(), kind, exif=EXIF + exif(orientation), **({} if kind == "PNG" else {"quality": 95})
    )
    for kind in ("JPEG", "PNG", "WEBP", "AVIF")
    for orientation in range(1, 9)
}
ODD = {
    "JPEG, big-endian": jpeg_with(EXIF + exif(6, order=">")),
    "JPEG, 0": jpeg_with(EXIF + exif(0)),
    "JPEG, 9": jpeg_with(EXIF + exif(9)),
    "JPEG, LONG": jpeg_with(EXIF + exif(6, kind=4)),
    "JPEG, BYTE": jpeg_with(EXIF + exif(6, kind=1)),
    "JPEG, two SHORTs": jpeg_with(EXIF + exif(6, count=2)),
    "JPEG, 6 then 1": jpeg_with(EXIF + exif(6), EXIF + exif(1)),
    "JPEG, 1 then 6": jpeg_with(EXIF + exif(1), EXIF + exif(6)),
    "JPEG, late": jpeg_with(EXIF + exif(6), before=b"\xff\xda"),
    "JPEG, cut": jpeg_with(EXIF + exif(6)[:12]),
    "JPEG, XMP": jpeg_with(XMP),
    "MPO": file(quarters(), "MPO", save_all=True, append_images=[quarters()], exif=EXIF + exif(6), quality=95),
    "PNG, big-endian": png_with(exif(6, order=">")),
    "PNG, behind the pixels": png_with(exif(6), behind=True),
    "PNG, with the word Exif": png_with(EXIF + exif(6)),
    "PNG, raw profile": raw_profile(exif(6)),
    "AVIF, by EXIF only": avif_whose_exif_disagrees(),
    "WEBP, lossless": file(quarters(), "WEBP", lossless=True, exif=EXIF + exif(6)),
    "GIF": file(quarters().quantize(8), "GIF"),  # which knows no EXIF
    "BMP": file(quarters(), "BMP"),
}


@pytest.mark.parametrize("name", [*TURNED, *ODD])
def test_images_are_turned_as_chromium_turns_them(page: Page, name: str) -> None:
    data = (TURNED | ODD)[name]
    seen = shown(page, data, name.split(",")[0].split()[0])
    assert seen is not None
    height, width = seen.shape[:2]
    assert probe_size(data) == (width, height)
    ours = decode(data, size=16)[4::8, 4::8].astype(int)
    theirs = seen[height // 4 :: height // 2, width // 4 :: width // 2, :3].astype(int)
    np.testing.assert_allclose(ours, theirs, atol=24)


def test_what_chromium_does_not_show_has_nobodys_orientation(page: Page) -> None:
    """Label Studio cannot show them either: they are read for exports and folders of files."""
    hidden = {kind for kind in FORMATS if shown(page, file(quarters(), kind), kind) is None}
    assert hidden == {"TIFF", "JPEG2000", "PPM"}


def photograph() -> Image.Image:
    blots = np.random.default_rng(0).integers(0, 256, (15, 20, 3), dtype=np.uint8)
    return Image.fromarray(blots).resize((400, 300), Image.Resampling.BICUBIC)


CUT = {
    "JPEG": file(photograph(), "JPEG", quality=90),
    "JPEG, progressive": file(photograph(), "JPEG", quality=90, progressive=True),
    "PNG": file(photograph(), "PNG"),
    "GIF": file(photograph().quantize(64), "GIF", interlace=0),
    "BMP": file(photograph(), "BMP"),
    "WEBP": file(photograph(), "WEBP", quality=90),
    "WEBP, lossless": file(photograph(), "WEBP", lossless=True),
    "AVIF": file(photograph(), "AVIF", quality=90),
}


@pytest.mark.parametrize("share", [1.0, 0.98, 0.9, 0.5])
@pytest.mark.parametrize("name", CUT)
def test_cut_files_are_read_where_chromium_shows_nearly_all(page: Page, name: str, share: float) -> None:
    data = CUT[name][: round(len(CUT[name]) * share) - 2]
    seen = shown(page, data, name.split(",")[0])
    visible = 0.0 if seen is None else (seen[..., 3] == 255).all(axis=1).mean()
    try:
        (pixels,), _ = open_image(data, 100).pixels()
    except UnreadableImageError:
        assert (share <= 0.9 and visible < 0.95) or visible == 0
        return
    assert visible > 0.9  # Chromium leaves out the last blocks of a JPEG without an end mark
    assert seen is not None
    theirs = np.asarray(Image.fromarray(seen[..., :3]).resize((100, 100), Image.Resampling.BILINEAR)).astype(int)
    rows = slice(12, None) if name == "BMP" else slice(0, 88)  # which is from the bottom up
    assert abs(pixels[rows].astype(int) - theirs[rows]).mean() < 4
