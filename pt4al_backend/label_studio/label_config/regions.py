"""Regions that people paint (`<BrushLabels>`) or outline (`<PolygonLabels>`): read, checked, and drawn."""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio.label_config import brush_rle
from pt4al_backend.label_studio.label_config.tags import Tag, answers_of, shown_text
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION, UNKNOWN

BRUSH, POLYGON = "brushlabels", "polygonlabels"
KINDS = (BRUSH, POLYGON)
MOST_CLASSES = 254  # class numbers are bytes; one more is for where no region is, and one for what is not learnt
MOST_PIXELS = 100_000_000
SLACK = 2.0
"""How far outside a point may lie, in per cent of the image; it is moved to the edge."""
FINE = 4
"""Regions are drawn at so many times the resolution, along a side; then the majority has the pixel."""
EDGES = 256  # of an outline that are drawn at once: each may cross every column

Region = dict[str, Any]
Result = dict[str, Any]


@dataclass(frozen=True)
class RegionControl:
    """One BrushLabels or PolygonLabels tag."""

    name: str
    kind: str
    labels: tuple[str, ...]

    @classmethod
    def of(cls, tag: Tag) -> RegionControl:
        """The control that a tag is. Raises `UnsupportedConfigError`."""
        labels = answers_of(tag, "label")
        if len(labels) > MOST_CLASSES:
            raise tag.not_learnt(f"it learns {MOST_CLASSES} labels of regions at most, take some out")
        return cls(tag.name, tag.kind, labels)


def regions_question(controls: Sequence[RegionControl]) -> Question:
    """The one question that all these ask together. Raises `UnsupportedConfigError`."""
    classes = tuple(dict.fromkeys(label for control in controls for label in control.labels))
    if len(classes) > MOST_CLASSES:
        raise UnsupportedConfigError(
            f"PT4AL learns {MOST_CLASSES} labels of regions at most: the label config has {len(classes)}, "
            "take some out."
        )
    return Question("+".join(control.name for control in controls), SEGMENTATION, classes)


# From annotations


class _UnusableError(Exception):
    """Why a region is left out; of its pixels nothing is known."""


class _NothingError(_UnusableError):
    """Why a region is left out that has no pixels."""


def read_regions(
    results: Sequence[Result], controls: Sequence[RegionControl], classes: Sequence[str], others: Collection[str] = ()
) -> tuple[list[Region], list[str]]:
    """The regions of one annotation as they are stored, bottom first; a sentence for each that cannot be used.

    One that cannot be used is stored too, without a label, as nothing is to be learnt of its pixels. So is one of a
    control that is gone: neither one of `controls` nor of `others`, the names of controls that are left alone.
    """
    names = [control.name for control in controls]
    regions, faults = [], []
    for result in results:
        name = result.get("from_name")
        is_gone = result.get("type") in KINDS and name not in names and name not in others
        if name not in names and not is_gone:
            continue
        region, fault = _region(result, classes)
        if is_gone:
            region, fault = region | {"label": None}, "the label config does not have that any more"
        if region:
            regions.append(region)
        if fault:
            faults.append(f'A region of "{shown_text(name)}" is left out: {fault}.')
    return regions, faults


def is_known(region: Region) -> bool:
    """Whether it teaches its class; else its pixels teach nothing."""
    return region["label"] is not None


def _region(result: Result, classes: Sequence[str]) -> tuple[Region, str]:
    """The region as it is stored, empty if it has no pixels; why it is left out, "" if it is not."""
    try:
        shape = _shape(result)
    except _NothingError as reason:
        return {}, str(reason)
    except _UnusableError as reason:
        return {"label": None}, str(reason)
    try:
        return {"label": _label(result, classes)} | shape, ""
    except _UnusableError as reason:
        return {"label": None} | shape, str(reason)


def _shape(result: Result) -> Region:
    kind, value = result.get("type"), result.get("value")
    if kind not in (*KINDS, "brush", "polygon") or not isinstance(value, dict):
        raise _UnusableError("it is neither painted nor a polygon")
    if result.get("image_rotation"):
        raise _UnusableError("the image had been turned when it was made; turn it back and make it again")
    size = {"width": _side(result.get("original_width")), "height": _side(result.get("original_height"))}
    if kind in (POLYGON, "polygon"):  # its points are in per cent of whatever size
        return (size if all(size.values()) else {}) | {"points": _points(value.get("points"))}
    return size | {"rle": _rle(value.get("rle"), _pixels(**size))}


def _number(number: Any) -> Any:
    """A whole number as such, however it is written (`200.0`); anything else as it is."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _side(number: Any) -> int:
    """The side of an image in pixels; 0 if it is none."""
    number = _number(number)
    return int(number) if isinstance(number, int) and 1 <= number <= MOST_PIXELS else 0


def _pixels(width: int, height: int) -> int:
    if not width or not height:
        raise _UnusableError("it does not say how large the image is")
    if width * height > MOST_PIXELS:
        raise _UnusableError(f"its image has more than {MOST_PIXELS // 1_000_000} megapixels")
    return width * height


def _label(result: Result, classes: Sequence[str]) -> str:
    labels = result["value"].get(result["type"])
    if isinstance(labels, str):  # some importers write one label as it is
        labels = [labels]
    if not isinstance(labels, list) or not labels:
        raise _UnusableError("it has no label")
    if len(labels) > 1:
        raise _UnusableError("it has several labels, and PT4AL learns one per region")
    if labels[0] not in classes:
        raise _UnusableError("the label config does not have its label any more")
    return str(labels[0])


def _points(points: Any) -> list[list[float]]:
    if not isinstance(points, list) or len(points) < 3:
        raise _NothingError("it has fewer than three points")
    if not all(isinstance(point, list) and len(point) == 2 and all(map(_is_near, point)) for point in points):
        raise _UnusableError("it has points outside the image")
    return [[float(min(max(part, 0), 100)) for part in point] for point in points]


def _is_near(part: Any) -> bool:
    return isinstance(part, (int, float)) and -SLACK <= part <= 100 + SLACK  # NaN is not


def _rle(numbers: Any, pixels: int) -> str:
    if not isinstance(numbers, list) or not numbers:
        raise _NothingError("nothing is painted")
    if len(numbers) > brush_rle.MOST_BYTES:
        raise _UnusableError(f"it takes more than {brush_rle.MOST_BYTES // 1_000_000} MB")
    try:
        packed = bytes(map(_number, numbers))
        there = brush_rle.painted(packed, pixels)
    except (ValueError, TypeError):
        raise _UnusableError("its pixels are damaged or do not fit its image's size; paint it again") from None
    if not there.any():
        raise _NothingError("nothing is painted")
    return base64.b64encode(packed).decode()


# Drawing


def draw(
    regions: Sequence[Region],
    classes: Sequence[str],
    *,
    side: int,
    background: bool,
    size: tuple[int, int] = (0, 0),
) -> NDArray[np.uint8]:
    """(side, side) class numbers, the image squashed to the square; a region lies on top of those before it.

    Where no region is: `len(classes)` if that is a class of its own (`background`), else 255. It is 255 in any case
    under a region whose class is not known, and everywhere outside the others where the shape of one is not known.
    That is also so where what was painted fits no image of this `size` (width and height; 0: not known).
    """
    number = {name: k for k, name in enumerate(classes)}
    nothing = len(classes)
    fine = np.full((FINE * side, FINE * side), nothing, dtype=np.uint8)
    shaped = [region for region in regions if is_drawn(region, size)]
    for region in shaped:
        where = _painted(region, len(fine)) if "rle" in region else _filled(region, len(fine))
        fine[where] = number.get(region["label"], UNKNOWN)
    if len(shaped) < len(regions):
        fine[fine == nothing] = UNKNOWN
    mask = _majority(fine, side)
    if not background:
        mask[mask == nothing] = UNKNOWN
    return mask


def is_drawn(region: Region, size: tuple[int, int]) -> bool:
    """Whether the shape of a region is known, on an image of this `size` (width and height; 0: not known)."""
    return "points" in region or ("rle" in region and (not all(size) or _fits(region, *size)))


def misfits(regions: Sequence[Region], size: tuple[int, int]) -> list[str]:
    """A sentence for each region that was painted on an image of other proportions than those of `size`.

    Label Studio itself writes the size of the image as it shows it, turned as its EXIF orientation says.
    """
    return [_misfit(region, *size) for region in regions if "rle" in region and not is_drawn(region, size)]


def _misfit(region: Region, width: int, height: int) -> str:
    painted = f"{region['width']} x {region['height']}"
    said = f"A region is left out: it was painted on an image of {painted} pixels, and this one has {width} x {height}"
    if _fits(region, height, width):
        said += ", the other way round, as tools write it that overlook an image's EXIF orientation"
    return f"{said}; paint it again."


def _fits(region: Region, width: int, height: int) -> bool:
    """Whether its image and this one may be the same in two resolutions, the sides of one rounded to whole pixels."""
    own_width, own_height = int(region["width"]), int(region["height"])
    rounded = max(width + height, own_width + own_height)
    return 2 * abs(own_width * height - own_height * width) <= rounded


def _painted(region: Region, side: int) -> NDArray[np.bool_]:
    width, height = region["width"], region["height"]
    pixels = brush_rle.painted(base64.b64decode(region["rle"]), width * height).reshape(height, width)
    middles = 2 * np.arange(side) + 1
    return pixels[np.ix_(middles * height // (2 * side), middles * width // (2 * side))]


def _filled(region: Region, side: int) -> NDArray[np.bool_]:
    """By the even-odd rule, so that an outline may go round a hole: pixels whose middles lie inside."""
    ends = np.array(region["points"]) / 100 * side - 0.5  # now a pixel's middle has whole numbers
    edges = np.stack([ends, np.roll(ends, -1, axis=0)], axis=1)
    rightward = edges[:, 0, 0] <= edges[:, 1, 0]
    edges = np.where(rightward[:, None, None], edges, edges[:, ::-1])  # to and fro are one and the same line
    odd = np.zeros((side + 1, side), dtype=np.uint8)
    for start in range(0, len(edges), EDGES):
        column, row = _crossed(edges[start : start + EDGES])
        np.bitwise_xor.at(odd, (np.clip(row, 0, side), column), 1)
    for above, here in pairwise(odd):  # ten times as fast as `accumulate`
        here ^= above
    return odd[:side].view(bool)


def _crossed(edges: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Columns whose middles lines (n, 2, 2) cross, and in each the first pixel whose middle is not above the line."""
    (x, y), (to_x, to_y) = edges.transpose(1, 2, 0)
    first, columns = np.ceil(x).astype(np.int64), np.ceil(to_x).astype(np.int64)
    columns -= first
    edge = np.repeat(np.arange(len(edges)), columns)
    column = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(columns) - columns, columns)
    slope = (to_y - y)[edge] / (to_x - x)[edge]
    return column, np.ceil(y[edge] + (column - x[edge]) * slope).astype(np.int64)


def _majority(fine: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The most frequent value of each pixel's part of `fine`, of those that tie the lowest."""
    cells = fine.reshape(side, FINE, side, FINE)
    mask = np.zeros((side, side), dtype=np.uint8)
    most = np.zeros((side, side), dtype=np.uint8)
    for value in np.unique(fine):
        count = (cells == value).sum(axis=(1, 3), dtype=np.uint8)
        more = count > most
        mask[more], most[more] = value, count[more]
    return mask
