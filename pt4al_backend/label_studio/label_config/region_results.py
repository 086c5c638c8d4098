"""What the model sees, a mask, as regions that Label Studio shows and people correct."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.label_studio.label_config import brush_rle
from pt4al_backend.label_studio.label_config.regions import BRUSH, FINE, MOST_PIXELS, RegionControl, Result

TOLERANCE = FINE / 4
"""How far outlines are simplified: a quarter of the mask's pixel."""

Mask = NDArray[np.uint8]
Ring = NDArray[np.float64]
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
    """A mask (m, m) of class numbers as results of a prediction about an image of `width` x `height` pixels.

    A class that can be painted becomes one region, any other an outline around each of its parts.
    Parts smaller than `least_region` (a share of the image) are left out. `len(classes)`: no region.
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
            value = {"format": "rle", "rle": list(brush_rle.packed((large == k).reshape(-1)))}
            results.append(_result(control, classes[k], value) | common)
    if outlined:
        side = FINE * len(mask)
        fine = _enlarged(mask, side, side)
        for k, control in outlined:
            for ring in _outlines(fine == k):
                points = np.round(ring * (100 / side), 4).tolist()
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
    from scipy import ndimage  # takes a while, and the web process needs none of it

    clean = mask.copy()
    for k in np.unique(mask).tolist():
        if k != nothing:
            parts, _ = ndimage.label(mask == k, structure=np.ones((3, 3)))
            small = np.bincount(parts.reshape(-1)) < least_region * mask.size
            small[0] = False  # the rest of the image
            clean[small[parts]] = nothing
    return clean


def _enlarged(mask: Mask, width: int, height: int) -> Mask:
    """(height, width): at every pixel the value that most of the mask around it has."""
    large = np.zeros((height, width), dtype=np.uint8)
    most = np.zeros((height, width), dtype=np.uint8)
    for value in np.unique(mask).tolist():
        where = Image.fromarray((mask == value).astype(np.uint8) * 255)
        share = np.asarray(where.resize((width, height), Image.Resampling.BILINEAR))
        large[share > most] = value
        np.maximum(most, share, out=most)
    return large


def _outlines(where: NDArray[np.bool_]) -> Iterator[Ring]:
    """An outline around each part, along its pixels' edges; it goes round holes too, to and fro by the same way."""
    import contourpy

    between = contourpy.contour_generator(z=np.pad(where, 1).astype(float), fill_type="OuterOffset")
    for points, offsets in zip(*between.filled(0.5, np.inf), strict=True):
        outline, *holes = (_simplified(ring[:-1] - 0.5) for ring in np.split(points, offsets[1:-1]))
        if len(outline) > 2:
            for hole in holes:
                outline = _joined(outline, hole) if len(hole) > 2 else outline
            yield outline


def _simplified(ring: Ring) -> Ring:
    """Only the corners that matter: no other was further than `TOLERANCE` from the lines (Douglas-Peucker)."""
    closed = np.concatenate([ring, ring[:1]])
    far = int(((ring - ring[0]) ** 2).sum(axis=1).argmax())
    matters = np.zeros(len(closed), dtype=bool)
    matters[[0, far]] = True
    parts = [(0, far), (far, len(ring))]
    while parts:
        first, last = parts.pop()
        if last - first < 2:
            continue
        (x, y), way = (closed[first + 1 : last] - closed[first]).T, closed[last] - closed[first]
        off = np.abs(x * way[1] - y * way[0])
        between = first + 1 + int(off.argmax())
        if off.max() > TOLERANCE * np.hypot(*way):
            matters[between] = True
            parts += [(first, between), (between, last)]
    return closed[matters]


def _joined(ring: Ring, hole: Ring) -> Ring:
    """One outline of both, over the shortest way between two of their corners."""
    ways = ((ring[:, None] - hole) ** 2).sum(axis=2)
    here, there = divmod(int(ways.argmin()), len(hole))
    return np.concatenate([ring[: here + 1], hole[there:], hole[: there + 1], ring[here:]])
