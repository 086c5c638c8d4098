"""Images of drawn shapes whose every answer is known: red discs and green squares on grey noise, 64 px."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE = 64
SHAPES = ("disc", "square")
COLOURS = ((220, 30, 30), (30, 200, 30))
NOTHING = len(SHAPES)
"""In a mask: where no shape is."""


def shape_regions(index: int) -> list[dict[str, Any]]:
    """The shapes on an image as polygons, bottom first: none on every eighth image, else one or two."""
    random = np.random.default_rng(index)
    drawn = random.permutation(len(SHAPES))[: 0 if index % 8 == 7 else random.integers(1, 3)]
    regions = []
    for shape in drawn.tolist():
        middle, radius = random.uniform(25, 75, 2), random.uniform(12, 24)
        corners, turned = (32, 0.0) if shape == 0 else (4, np.pi / 4)
        angles = turned + np.arange(corners) * 2 * np.pi / corners
        points = middle + radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)
        regions.append({"label": SHAPES[shape], "width": SIDE, "height": SIDE, "points": points.round(2).tolist()})
    return regions


def shape_mask(index: int, *, side: int = SIDE) -> NDArray[np.uint8]:
    """(side, side): which shape each pixel is of, or `NOTHING`."""
    mask = Image.new("L", (side, side), NOTHING)
    for region in shape_regions(index):
        corners = np.rint(np.array(region["points"]) / 100 * side - 0.5)
        ImageDraw.Draw(mask).polygon([*map(tuple, corners.tolist())], fill=SHAPES.index(region["label"]))
    return np.array(mask)


def shapes_on(index: int) -> list[str]:
    """The shapes of which something can be seen."""
    seen = set(np.unique(shape_mask(index)).tolist())
    return [name for number, name in enumerate(SHAPES) if number in seen]


def shape_png(index: int) -> bytes:
    """The image, as a file."""
    pixels = np.random.default_rng(index).integers(60, 150, (SIDE, SIDE, 3), dtype=np.uint8)
    mask = shape_mask(index)
    for number, colour in enumerate(COLOURS):
        pixels[mask == number] = colour
    return png(pixels)


def png(pixels: NDArray[np.uint8]) -> bytes:
    """(height, width) or (height, width, 3) as a file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
