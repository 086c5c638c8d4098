"""Shape projects on a real Label Studio: boxes and discs on noise, to be painted, outlined or ticked."""

from __future__ import annotations

import base64
import io
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from label_studio_sdk.converter.brush import decode_rle, mask2rle
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from support.known_projects import KnownProject
from support.studio import Result, Studio, choices_result

CLASSES = ("box", "disc")
NOTHING = len(CLASSES)
COLOURS = ((210, 60, 40), (40, 90, 220))
SHADES = ("dark", "light")
ORIENTATION, TURNED = 0x0112, 6  # EXIF: to be shown turned by 90 degrees, clockwise
CORNERS = 32  # of a disc's outline
FINE = 8  # regions are drawn so many times as large as they are looked at, and scaled down

TAGS = {
    "brush": '<BrushLabels name="brush" toName="image">{labels}</BrushLabels>',
    "polygon": '<PolygonLabels name="polygon" toName="image">{labels}</PolygonLabels>',
    "tags": '<Choices name="tags" toName="image" choice="multiple">{choices}</Choices>',
    "choice": '<Choices name="choice" toName="image"><Choice value="dark"/><Choice value="light"/></Choices>',
    "box": '<RectangleLabels name="box" toName="image"><Label value="frame"/></RectangleLabels>',
}

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Shape:
    """A box, or the disc that fills one: `left`, `top`, `right`, `bottom` are in pixels."""

    label: str
    left: float
    top: float
    right: float
    bottom: float

    @property
    def corners(self) -> list[tuple[float, float]]:
        """Of its outline, in pixels."""
        if self.label == "box":
            return [
                (self.left, self.top),
                (self.right, self.top),
                (self.right, self.bottom),
                (self.left, self.bottom),
            ]
        angles = np.arange(CORNERS) * 2 * np.pi / CORNERS
        x = (self.left + self.right + (self.right - self.left) * np.cos(angles)) / 2
        y = (self.top + self.bottom + (self.bottom - self.top) * np.sin(angles)) / 2
        return list(zip(x.tolist(), y.tolist(), strict=True))

    def covers(self, width: int, height: int) -> NDArray[np.bool_]:
        """(height, width): the pixels whose middles are inside."""
        x, y = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
        if self.label == "box":
            return (self.left <= x) & (x < self.right) & (self.top <= y) & (y < self.bottom)
        across = (2 * x - self.left - self.right) / (self.right - self.left)
        down = (2 * y - self.top - self.bottom) / (self.bottom - self.top)
        return across**2 + down**2 <= 1


@dataclass(frozen=True)
class Drawing:
    """Shapes on noise; a later shape lies on top of those before it."""

    number: int
    width: int
    height: int
    shapes: tuple[Shape, ...]
    turned: bool = False
    """Whether its file is a JPEG that lies on its side, and EXIF says so."""

    @classmethod
    def make(cls, number: int, *, scale: int = 1, turned: bool = False) -> Drawing:
        """The drawing of a number: odd ones are portraits, and one in seven is empty."""
        random = np.random.default_rng(number)
        width, height = (64 * scale, 96 * scale) if number % 2 else (96 * scale, 64 * scale)
        shapes = []
        for label in CLASSES if number % 3 == 0 else CLASSES[number % 2 :][:1]:
            size = random.integers(24, 40) * scale
            left, top = random.integers(0, width - size), random.integers(0, height - size)
            shapes.append(Shape(label, int(left), int(top), int(left + size), int(top + size)))
        return cls(number, width, height, () if number % 7 == 6 else tuple(shapes), turned)

    @property
    def shade(self) -> str:
        """Of the noise."""
        return SHADES[self.number % 2]

    def mask(self) -> Mask:
        """(height, width) class numbers, NOTHING where no shape is."""
        found = np.full((self.height, self.width), NOTHING, dtype=np.uint8)
        for shape in self.shapes:
            found[shape.covers(self.width, self.height)] = CLASSES.index(shape.label)
        return found

    def file(self) -> bytes:
        """PNG, or JPEG where it is `turned`."""
        mask, random = self.mask(), np.random.default_rng(self.number)
        level = (40, 160)[SHADES.index(self.shade)]
        pixels = random.integers(level, level + 60, (self.height, self.width, 3), dtype=np.uint8)
        for k, colour in enumerate(COLOURS):
            pixels[mask == k] = colour
        file = io.BytesIO()
        if self.turned:
            exif = Image.Exif()
            exif[ORIENTATION] = TURNED
            Image.fromarray(np.rot90(pixels)).save(file, "JPEG", quality=95, exif=exif)
        else:
            Image.fromarray(pixels).save(file, "PNG")
        return file.getvalue()

    def results(self, controls: Iterable[str]) -> list[Result]:
        """The true answer with these controls, as the `result` of an annotation."""
        found: list[Result] = []
        for control in controls:
            if control == "choice":
                found.append(choices_result(self.shade))
            elif control == "tags":
                there = [label for label in CLASSES if any(shape.label == label for shape in self.shapes)]
                found += [choices_result(*there, control="tags")] if there else []
            elif control == "brush":
                covered = [(shape.label, shape.covers(self.width, self.height)) for shape in self.shapes]
                found += [painted(label, where) for label, where in covered]
            elif control == "polygon":
                found += [outlined(shape.label, shape.corners, self.width, self.height) for shape in self.shapes]
        return found


@dataclass(frozen=True)
class ShapeProject(KnownProject):
    """A project of drawings, which are asked about with `controls`."""

    truth: dict[int, Drawing]
    controls: tuple[str, ...]

    @classmethod
    def create(
        cls, studio: Studio, controls: Sequence[str], drawings: Iterable[Drawing], *, upload: Path | None = None
    ) -> ShapeProject:
        """The drawings are data: URIs in the tasks, or files written to `upload` and uploaded from there."""
        number = studio.create_project("shapes", config(*controls))
        drawn = list(drawings)
        if upload is None:
            ids = studio.import_images(number, [_uri(drawing) for drawing in drawn])
        else:
            ids = studio.upload_files(number, [_written(drawing, upload) for drawing in drawn])
        return cls(studio, number, dict(zip(ids, drawn, strict=True)), tuple(controls))

    def results(self, task: int) -> list[Result]:
        return self.truth[task].results(self.controls)


def config(*controls: str) -> str:
    """A label config with some of TAGS."""
    labels = "".join(f'<Label value="{name}"/>' for name in CLASSES)
    choices = "".join(f'<Choice value="{name}"/>' for name in CLASSES)
    tags = "".join(TAGS[control].format(labels=labels, choices=choices) for control in controls)
    return f'<View><Image name="image" value="$image"/>{tags}</View>'


def painted(label: str, where: NDArray[np.bool_]) -> Result:
    """What a person who paints these pixels (height, width) submits."""
    height, width = where.shape
    value = {"format": "rle", "rle": mask2rle(where.astype(np.uint8) * 255), "brushlabels": [label]}
    return _region("brush", "brushlabels", value, width, height)


def outlined(label: str, corners: Iterable[tuple[float, float]], width: int, height: int) -> Result:
    """What a person who clicks on these corners, in pixels, submits."""
    points = [[100 * x / width, 100 * y / height] for x, y in corners]
    value = {"points": points, "closed": True, "polygonlabels": [label]}
    return _region("polygon", "polygonlabels", value, width, height)


def shown(results: Sequence[Result], *, side: int = 0) -> Mask:
    """Class numbers of the pixels that an editor would show regions on, NOTHING where none is.

    At the image's own size, or the image squashed to a square of `side` x `side`. Drawn with other libraries
    than the backend's.
    """
    regions = [result for result in results if result["type"] in ("brushlabels", "polygonlabels")]
    width, height = (regions[0]["original_width"], regions[0]["original_height"]) if regions else (1, 1)
    found = np.full((side or height, side or width), NOTHING, dtype=np.uint8)
    for region in regions:
        found[_where(region, *found.shape)] = CLASSES.index(region["value"][region["type"]][0])
    return found


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union, of the class where it is smallest."""
    assert one.shape == other.shape
    there = (set(np.unique(one).tolist()) | set(np.unique(other).tolist())) - {NOTHING}
    shares = [((one == k) & (other == k)).sum() / ((one == k) | (other == k)).sum() for k in there]
    return float(min(shares, default=1.0))


def _where(region: Result, height: int, width: int) -> NDArray[np.bool_]:
    fine = FINE * width, FINE * height
    if region["type"] == "brushlabels":
        opacity = decode_rle(region["value"]["rle"])[3::4]
        whole = opacity.reshape(region["original_height"], region["original_width"])
        canvas = Image.fromarray(whole).resize(fine, Image.Resampling.NEAREST)
    else:
        canvas = Image.new("L", fine)
        corners = [(x / 100 * fine[0] - 0.5, y / 100 * fine[1] - 0.5) for x, y in region["value"]["points"]]
        ImageDraw.Draw(canvas).polygon(corners, fill=255)
    return np.array(canvas.resize((width, height), Image.Resampling.BOX)) > 127


def _region(control: str, kind: str, value: Result, width: int, height: int) -> Result:
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    name = {"id": uuid.uuid4().hex[:10], "from_name": control, "to_name": "image", "type": kind}
    return name | size | {"value": value}


def _uri(drawing: Drawing) -> str:
    kind = "jpeg" if drawing.turned else "png"
    return f"data:image/{kind};base64," + base64.b64encode(drawing.file()).decode()


def _written(drawing: Drawing, folder: Path) -> Path:
    path = folder / f"{drawing.number}.{'jpg' if drawing.turned else 'png'}"
    path.write_bytes(drawing.file())
    return path
