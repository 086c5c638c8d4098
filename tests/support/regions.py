"""Regions as a browser sends them."""

from __future__ import annotations

from typing import Any

import numpy as np
from label_studio_sdk.converter.brush import mask2rle
from numpy.typing import NDArray

from pt4al_backend.label_studio.label_config.regions import BRUSH, POLYGON, RegionControl

CLASSES = ("car", "road")


BRUSHED = (RegionControl("brush", BRUSH, CLASSES),)


OUTLINED = (RegionControl("poly", POLYGON, CLASSES),)


BOTH = (RegionControl("poly", POLYGON, CLASSES), RegionControl("brush", BRUSH, ("road",)))


NOTHING = len(CLASSES)


Mask = NDArray[np.uint8]


def packed(pixels: NDArray[Any]) -> list[int]:
    numbers: list[int] = mask2rle(pixels.astype(np.uint8) * 255)  # type: ignore[no-untyped-call]
    return numbers


def brush(numbers: Any, label: str = "car", *, width: Any = 30, height: Any = 20, **more: Any) -> dict[str, Any]:
    value = {"format": "rle", "rle": numbers, "brushlabels": [label]}
    size = {"original_width": width, "original_height": height, "image_rotation": 0}
    return {"id": "b", "type": "brushlabels", "from_name": "brush", "to_name": "image", "value": value} | size | more


def polygon(points: Any, label: str = "car", **more: Any) -> dict[str, Any]:
    value = {"points": points, "closed": True, "polygonlabels": [label]}
    size = {"original_width": 30, "original_height": 20}
    return {"id": "p", "type": "polygonlabels", "from_name": "poly", "to_name": "image", "value": value} | size | more
