"""What the model sees, a mask, as regions that Label Studio shows and people correct."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.label_studio import rle
from pt4al_backend.label_studio.regions import BRUSH, FINE, MOST_PIXELS, RegionControl, Result

TOLERANCE = FINE / 4
"""How far outlines are simplified: a quarter of the mask's pixel."""

Mask = NDArray[np.uint8]
Ring = NDArray[np.int64]
"""(k, 2) corners of a closed outline."""


def regions_result(
    mask: Mask,
    controls: Sequence[RegionControl],
    classes: Sequence[str],
    *,
    image: str,
    width: int,
    height: int,
    least_region: float,
    score: float,
) -> list[Result]:
    """A mask (m, m) of class numbers as results of a prediction about an image of ``width`` x ``height`` pixels.

    A class that can be painted becomes one region, any other an outline around each of its parts.
    Parts smaller than ``least_region`` (a share of the image) are left out. ``len(classes)``: no region.
    """
    if not 0 < width * height <= MOST_PIXELS:
        return []
    mask = _without_specks(mask, least_region, nothing=len(classes))
    there = [k for k in np.unique(mask).tolist() if k < len(classes)]
    with_control = [(k, _control(classes[k], controls)) for k in there]
    brushed = [(k, control) for k, control in with_control if control is not None and control.kind == BRUSH]
    outlined = [(k, control) for k, control in with_control if control is not None and control.kind != BRUSH]
    common = {"to_name": image, "image_rotation": 0, "score": float(score)}
    common |= {"original_width": width, "original_height": height}
    results = []
    if brushed:
        large = _enlarged(mask, width, height)
        for k, control in brushed:
            value = {"format": "rle", "rle": list(rle.packed((large == k).reshape(-1)))}
            results.append(_result(control, classes[k], value) | common)
    if outlined:
        side = FINE * len(mask)
        fine = _enlarged(mask, side, side)
        for k, control in outlined:
            for ring in _outlines(fine == k):
                points = np.round((ring + 0.5) * (100 / side), 4).tolist()
                results.append(_result(control, classes[k], {"points": points, "closed": True}) | common)
    return results


def _control(label: str, controls: Sequence[RegionControl]) -> RegionControl | None:
    """The control to give a label with: painting goes before outlines, as it shows all there is."""
    able = [control for control in controls if label in control.labels]
    return next((control for control in able if control.kind == BRUSH), able[0] if able else None)


def _result(control: RegionControl, label: str, value: Result) -> Result:
    return {
        "id": uuid.uuid4().hex[:10],
        "from_name": control.name,
        "type": control.kind,
        "value": value | {control.kind: [label]},
    }


def _without_specks(mask: Mask, least_region: float, *, nothing: int) -> Mask:
    import cv2

    clean = mask.copy()
    for k in np.unique(mask).tolist():
        if k != nothing:
            _, parts, stats, _ = cv2.connectedComponentsWithStats((mask == k).astype(np.uint8), connectivity=8)
            small = stats[:, cv2.CC_STAT_AREA] < least_region * mask.size
            small[0] = False  # the rest of the image
            clean[small[parts]] = nothing
    return clean


def _enlarged(mask: Mask, width: int, height: int) -> Mask:
    """(height, width): at every pixel the value that most of the mask around it has."""
    import cv2

    shrinks = width < mask.shape[1] or height < mask.shape[0]
    large = np.zeros((height, width), dtype=np.uint8)
    most = np.zeros((height, width), dtype=np.uint8)
    for value in np.unique(mask).tolist():
        where = (mask == value).astype(np.uint8) * 255
        share = cv2.resize(where, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        large[share > most] = value
        np.maximum(most, share, out=most)
    return large


def _outlines(where: NDArray[np.bool_]) -> Iterator[Ring]:
    """An outline around each part; it goes round the part's holes too, to and from them by the same way."""
    import cv2

    found, family = cv2.findContours(where.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    simple = [cv2.approxPolyDP(ring, TOLERANCE, closed=True) for ring in found]
    rings: list[Ring] = [ring.reshape(-1, 2).astype(np.int64) for ring in simple]
    for place, outline in enumerate(rings):
        _, _, hole, parent = family[0, place].tolist()
        if parent >= 0 or len(outline) < 3:
            continue
        while hole >= 0:
            if len(rings[hole]) > 2:
                outline = _joined(outline, rings[hole])
            hole = family[0, hole, 0].item()
        yield outline


def _joined(ring: Ring, hole: Ring) -> Ring:
    """One outline of both, over the shortest way between two of their corners."""
    ways = ((ring[:, None] - hole) ** 2).sum(axis=2)
    here, there = divmod(int(ways.argmin()), len(hole))
    return np.concatenate([ring[: here + 1], hole[there:], hole[: there + 1], ring[here:]])
