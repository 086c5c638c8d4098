"""Reads, checks and draws regions that people painted (`<BrushLabels>`) or outlined (`<PolygonLabels>`)."""

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
from pt4al_backend.label_studio.label_config.tags import Tag, classes_of, shown_text
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION, UNKNOWN

BRUSH, POLYGON = "brushlabels", "polygonlabels"
KINDS = (BRUSH, POLYGON)
MOST_CLASSES = 254
"""Class numbers are bytes; one more is for pixels outside all regions, and one for unknown pixels."""
MOST_PIXELS = 100_000_000
SLACK = 2.0
"""How far outside the image a point may lie, in per cent of its side; the point is moved to the edge."""
FINE = 4
"""Regions are drawn at so many times the resolution along each side; then the majority decides each pixel."""
EDGES = 256
"""Edges of an outline that are drawn at once, to save memory: each may cross every column."""

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
        """The control that a tag is. Raises `UnsupportedConfigError` if PT4AL cannot learn from it."""
        labels = classes_of(tag, "label")
        if len(labels) > MOST_CLASSES:
            raise tag.not_learned(f"it learns at most {MOST_CLASSES} labels of regions, remove some")
        return cls(tag.name, tag.kind, labels)


def regions_question(controls: Sequence[RegionControl]) -> Question:
    """The question that all these controls together ask. Raises `UnsupportedConfigError` for too many classes."""
    classes = tuple(dict.fromkeys(label for control in controls for label in control.labels))
    if len(classes) > MOST_CLASSES:
        raise UnsupportedConfigError(
            f"PT4AL learns at most {MOST_CLASSES} labels of regions, but the label config has {len(classes)}: "
            "remove some."
        )
    return Question("+".join(control.name for control in controls), SEGMENTATION, classes)


# From annotations


class _UnusableError(Exception):
    """The reason why a region is left out; the class of its pixels is unknown."""


class _NothingError(_UnusableError):
    """The reason why a region without pixels is left out."""


def read_regions(
    results: Sequence[Result], controls: Sequence[RegionControl], classes: Sequence[str], others: Collection[str] = ()
) -> tuple[list[Region], list[str]]:
    """The regions of one annotation.

    An unusable region is stored without a label, so that its pixels are excluded from training. So is a region of a
    control that the label config no longer has.

    Args:
        results: of the annotation.
        controls: the controls whose regions are read.
        classes: the question's classes.
        others: the names of other controls, whose regions are ignored.

    Returns:
        The regions in the form in which they are stored, bottom first, and one sentence for each unusable region.
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
            region, fault = region | {"label": None}, "the label config no longer has that control"
        if region:
            regions.append(region)
        if fault:
            faults.append(f'A region of "{shown_text(name)}" is left out: {fault}.')
    return regions, faults


def is_known(region: Region) -> bool:
    """Whether a region has a class; otherwise its pixels are excluded from training."""
    return region["label"] is not None


def _region(result: Result, classes: Sequence[str]) -> tuple[Region, str]:
    """The region as it is stored, empty if it has no pixels, and why it is left out, "" if it is not."""
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
        raise _UnusableError("the image was rotated when it was made; rotate it back and draw it again")
    size = {"width": _side(result.get("original_width")), "height": _side(result.get("original_height"))}
    if kind in (POLYGON, "polygon"):  # its points are in per cent of the image
        return (size if all(size.values()) else {}) | {"points": _points(value.get("points"))}
    return size | {"rle": _rle(value.get("rle"), _pixels(**size))}


def _number(number: Any) -> Any:
    """A whole number written as a float (`200.0`) as an integer; anything else unchanged."""
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _side(number: Any) -> int:
    """The side of an image in pixels; 0 if the value is invalid."""
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
    if isinstance(labels, str):  # some importers write a single label without a list
        labels = [labels]
    if not isinstance(labels, list) or not labels:
        raise _UnusableError("it has no label")
    if len(labels) > 1:
        raise _UnusableError("it has several labels, but PT4AL learns one per region")
    if labels[0] not in classes:
        raise _UnusableError("the label config no longer has its label")
    return str(labels[0])


def _points(points: Any) -> list[list[float]]:
    if not isinstance(points, list) or len(points) < 3:
        raise _NothingError("it has fewer than three points")
    if not all(isinstance(point, list) and len(point) == 2 and all(map(_is_near, point)) for point in points):
        raise _UnusableError("it has points outside the image")
    return [[float(min(max(part, 0), 100)) for part in point] for point in points]


def _is_near(part: Any) -> bool:
    return isinstance(part, (int, float)) and -SLACK <= part <= 100 + SLACK  # false for NaN


def _rle(numbers: Any, pixels: int) -> str:
    if not isinstance(numbers, list) or not numbers:
        raise _NothingError("nothing is painted")
    if len(numbers) > brush_rle.MOST_BYTES:
        raise _UnusableError(f"it takes more than {brush_rle.MOST_BYTES // 1_000_000} MB")
    try:
        packed = bytes(map(_number, numbers))
        where = brush_rle.painted(packed, pixels)
    except (ValueError, TypeError):
        raise _UnusableError("its pixels are damaged or do not fit its image's size; paint it again") from None
    if not where.any():
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
    """Draw regions to a mask; each region lies on top of those before it.

    Pixels under a region without a class are unknown (255). If the shape of a region is unknown, all pixels outside the
    other regions are. A painted region that does not fit the size of the image has an unknown shape.

    Args:
        regions: in the form in which they are stored.
        classes: the question's classes.
        side: of the mask in pixels; the image is squashed to the square.
        background: whether pixels outside all regions are a class of their own, `len(classes)`; otherwise they are
            unknown.
        size: width and height of the image; 0 means unknown.

    Returns:
        (side, side) class numbers.
    """
    number = {name: k for k, name in enumerate(classes)}
    nothing = len(classes)
    fine = np.full((FINE * side, FINE * side), nothing, dtype=np.uint8)
    shaped = [region for region in regions if is_drawn(region, size)]
    for region in shaped:
        where = painted_pixels(region, len(fine), len(fine)) if "rle" in region else _filled(region, len(fine))
        fine[where] = number.get(region["label"], UNKNOWN)
    if len(shaped) < len(regions):
        fine[fine == nothing] = UNKNOWN
    mask = _majority(fine, side)
    if not background:
        mask[mask == nothing] = UNKNOWN
    return mask


def is_drawn(region: Region, size: tuple[int, int]) -> bool:
    """Whether the shape of a region is known, on an image of this `size` (width and height; 0 means unknown)."""
    return "points" in region or ("rle" in region and (not all(size) or _fits(region, *size)))


def misfits(regions: Sequence[Region], size: tuple[int, int]) -> list[str]:
    """One sentence for each region that was painted on an image with other proportions than `size`.

    Label Studio itself writes the size of the image as it shows it, rotated according to its EXIF orientation.
    """
    return [_misfit(region, *size) for region in regions if "rle" in region and not is_drawn(region, size)]


def _misfit(region: Region, width: int, height: int) -> str:
    painted = f"{region['width']} x {region['height']}"
    message = (
        f"A region is left out: it was painted on an image of {painted} pixels, and this one has {width} x {height}"
    )
    if _fits(region, height, width):
        message += ", swapped, as some tools that ignore the EXIF orientation write it"
    return f"{message}; paint it again."


def _fits(region: Region, width: int, height: int) -> bool:
    """Whether the region's image and this one may be one image in two resolutions, with rounded sides."""
    region_width, region_height = int(region["width"]), int(region["height"])
    rounding = max(width + height, region_width + region_height)
    return 2 * abs(region_width * height - region_height * width) <= rounding


def painted_pixels(region: Region, width: int, height: int) -> NDArray[np.bool_]:
    """(height, width) what was painted, on an image of another size by the nearest pixels."""
    columns, rows = region["width"], region["height"]
    pixels = brush_rle.painted(base64.b64decode(region["rle"]), columns * rows).reshape(rows, columns)
    return pixels[np.ix_(_nearest(rows, height), _nearest(columns, width))]


def _nearest(pixels: int, side: int) -> NDArray[np.int64]:
    """(side,) which of so many pixels each pixel of another side lies in."""
    return (2 * np.arange(side) + 1) * pixels // (2 * side)


def _filled(region: Region, side: int) -> NDArray[np.bool_]:
    """The pixels whose centres lie inside, by the even-odd rule, so that an outline may surround a hole."""
    ends = np.array(region["points"]) / 100 * side - 0.5  # now the centres of pixels have whole numbers
    edges = np.stack([ends, np.roll(ends, -1, axis=0)], axis=1)
    rightward = edges[:, 0, 0] <= edges[:, 1, 0]
    edges = np.where(rightward[:, None, None], edges, edges[:, ::-1])  # both directions give the same line
    odd = np.zeros((side + 1, side), dtype=np.uint8)
    for start in range(0, len(edges), EDGES):
        column, row = _crossed(edges[start : start + EDGES])
        np.bitwise_xor.at(odd, (np.clip(row, 0, side), column), 1)
    for above, row_below in pairwise(odd):  # ten times as fast as `accumulate`
        row_below ^= above
    return odd[:side].view(bool)


def _crossed(edges: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The columns whose centres lines (n, 2, 2) cross, and for each the first pixel centre not above the line."""
    (x, y), (to_x, to_y) = edges.transpose(1, 2, 0)
    first, columns = np.ceil(x).astype(np.int64), np.ceil(to_x).astype(np.int64)
    columns -= first
    edge = np.repeat(np.arange(len(edges)), columns)
    column = first[edge] + np.arange(len(edge)) - np.repeat(np.cumsum(columns) - columns, columns)
    slope = (to_y - y)[edge] / (to_x - x)[edge]
    return column, np.ceil(y[edge] + (column - x[edge]) * slope).astype(np.int64)


def _majority(fine: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The most frequent value in each pixel's part of `fine`, the lowest among those that tie."""
    cells = fine.reshape(side, FINE, side, FINE)
    mask = np.zeros((side, side), dtype=np.uint8)
    most = np.zeros((side, side), dtype=np.uint8)
    for value in np.unique(fine):
        count = (cells == value).sum(axis=(1, 3), dtype=np.uint8)
        more = count > most
        mask[more], most[more] = value, count[more]
    return mask
