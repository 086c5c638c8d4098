"""Regions that people paint (``<BrushLabels>``) or outline (``<PolygonLabels>``): read, checked, and drawn."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio import rle
from pt4al_backend.label_studio.tags import Tag, answers_of
from pt4al_backend.labelling_platform import SEGMENTATION, Question

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
        """The control that a tag is. Raises ``UnsupportedConfigError``."""
        labels = answers_of(tag, "label")
        if len(labels) > MOST_CLASSES:
            raise tag.not_learnt(f"it learns {MOST_CLASSES} labels of regions at most, take some out")
        return cls(tag.name, tag.kind, labels)


def regions_question(controls: Sequence[RegionControl]) -> Question:
    """The one question that all these ask together. Raises ``UnsupportedConfigError``."""
    classes = tuple(dict.fromkeys(label for control in controls for label in control.labels))
    if len(classes) > MOST_CLASSES:
        raise UnsupportedConfigError(
            f"PT4AL learns {MOST_CLASSES} labels of regions at most: the label config has {len(classes)}, "
            "take some out."
        )
    return Question("+".join(control.name for control in controls), SEGMENTATION, classes)


# From annotations


class _UnusableError(Exception):
    """Why a region is left out."""


def read_regions(
    results: Sequence[Result], controls: Sequence[RegionControl], classes: Sequence[str]
) -> tuple[list[Region], list[str]]:
    """The regions of one annotation as they are stored, bottom first; a sentence for each that cannot be used."""
    names = [control.name for control in controls]
    regions, faults = [], []
    for result in results:
        if result.get("from_name") in names:
            try:
                regions.append(_region(result, classes))
            except _UnusableError as reason:
                faults.append(f'A region of "{result["from_name"]}" is left out: {reason}.')
    return regions, faults


def _region(result: Result, classes: Sequence[str]) -> Region:
    kind, value = result.get("type"), result.get("value")
    if kind not in (*KINDS, "brush", "polygon") or not isinstance(value, dict):
        raise _UnusableError("it is neither painted nor a polygon")
    width, height = _size(result)
    region = {"label": _label(value.get(kind), classes), "width": width, "height": height}
    if kind == POLYGON:
        return region | {"points": _points(value.get("points"))}
    return region | {"rle": _rle(value.get("rle"), width * height)}


def _size(result: Result) -> tuple[int, int]:
    sides = result.get("original_width"), result.get("original_height")
    if not all(isinstance(side, int) and 1 <= side <= MOST_PIXELS for side in sides):
        raise _UnusableError("it does not say how large the image is")
    width, height = map(int, sides)  # type: ignore[arg-type]  # they are integers
    if width * height > MOST_PIXELS:
        raise _UnusableError(f"its image has more than {MOST_PIXELS // 1_000_000} megapixels")
    if result.get("image_rotation"):
        raise _UnusableError("the image had been turned when it was made; turn it back and make it again")
    return width, height


def _label(labels: Any, classes: Sequence[str]) -> str:
    if not isinstance(labels, list) or not labels:
        raise _UnusableError("it has no label")
    if len(labels) > 1:
        raise _UnusableError("it has several labels, and PT4AL learns one per region")
    if labels[0] not in classes:
        raise _UnusableError("the label config does not have its label any more")
    return str(labels[0])


def _points(points: Any) -> list[list[float]]:
    if not isinstance(points, list) or len(points) < 3:
        raise _UnusableError("it has fewer than three points")
    if not all(isinstance(point, list) and len(point) == 2 and all(map(_is_near, point)) for point in points):
        raise _UnusableError("it has points outside the image")
    return [[float(min(max(part, 0), 100)) for part in point] for point in points]


def _is_near(part: Any) -> bool:
    return isinstance(part, (int, float)) and -SLACK <= part <= 100 + SLACK  # NaN is not


def _rle(numbers: Any, pixels: int) -> str:
    if not isinstance(numbers, list) or not numbers:
        raise _UnusableError("nothing is painted")
    if len(numbers) > rle.MOST_BYTES:
        raise _UnusableError(f"it takes more than {rle.MOST_BYTES // 1_000_000} MB")
    try:
        packed = bytes(numbers)
        if not rle.painted(packed, pixels).any():
            raise _UnusableError("nothing is painted")
    except (ValueError, TypeError):
        raise _UnusableError("its pixels are damaged or do not fit its image's size; paint it again") from None
    return base64.b64encode(packed).decode()


# Drawing


def draw(regions: Sequence[Region], classes: Sequence[str], *, side: int, background: bool) -> NDArray[np.uint8]:
    """(side, side) class numbers, the image squashed to the square; a region lies on top of those before it.

    Where no region is: ``len(classes)`` if that is a class of its own (``background``), else 255.
    """
    number = {name: k for k, name in enumerate(classes)}
    fine = np.full((FINE * side, FINE * side), len(classes), dtype=np.uint8)
    for region in regions:
        if region["label"] in number:
            where = _painted(region, len(fine)) if "rle" in region else _filled(region, len(fine))
            fine[where] = number[region["label"]]
    mask = _majority(fine, side)
    if not background:
        mask[mask == len(classes)] = 255
    return mask


def _painted(region: Region, side: int) -> NDArray[np.bool_]:
    width, height = region["width"], region["height"]
    pixels = rle.painted(base64.b64decode(region["rle"]), width * height).reshape(height, width)
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
    for above, here in pairwise(odd):  # ten times as fast as ``accumulate``
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
    """The most frequent value of each pixel's part of ``fine``, of those that tie the lowest."""
    cells = fine.reshape(side, FINE, side, FINE)
    mask = np.zeros((side, side), dtype=np.uint8)
    most = np.zeros((side, side), dtype=np.uint8)
    for value in np.unique(fine):
        count = (cells == value).sum(axis=(1, 3), dtype=np.uint8)
        more = count > most
        mask[more], most[more] = value, count[more]
    return mask
