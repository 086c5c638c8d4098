"""Turns predicted masks, and regions that people made, into results as Label Studio has them."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.label_studio.label_config import brush_rle
from pt4al_backend.label_studio.label_config.regions import (
    BRUSH,
    FINE,
    MOST_PIXELS,
    POLYGON,
    Region,
    RegionControl,
    Result,
)

TOLERANCE = FINE / 4
"""How far a simplified outline may be from the original: a quarter of a mask pixel, in pixels of the fine grid."""

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
    """A mask as the results of a prediction.

    A class with a BrushLabels control becomes one region, any other class an outline around each of its parts.

    Args:
        mask: (m, m) class numbers; `len(classes)` means no region.
        controls: the project's region controls.
        classes: the question's classes.
        image: the name of the Image tag.
        width: of the image in pixels.
        height: likewise.
        least_region: smaller parts are left out; a fraction of the image.
        score: the probability of the prediction.
    """
    if not 0 < width * height <= MOST_PIXELS:
        return []
    mask = _without_specks(mask, least_region, nothing=len(classes))
    present = [k for k in np.unique(mask).tolist() if k < len(classes)]
    with_control = [(k, _control(classes[k], controls)) for k in present]
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


def written_region(
    region: Region, controls: Sequence[RegionControl], *, image: str, width: int, height: int
) -> Result | None:
    """A region that people made as the result it came from; None if no control makes such regions (any more).

    Args:
        region: in the form in which it is stored.
        controls: the project's region controls.
        image: the name of the Image tag.
        width: of the image in pixels, for a polygon that does not say; 0 if unknown.
        height: likewise.
    """
    kind = BRUSH if "rle" in region else POLYGON
    fitting = [control for control in controls if control.kind == kind and region["label"] in control.labels]
    if not fitting or not {"rle", "points"} & region.keys():
        return None
    if kind == BRUSH:
        value: Result = {"format": "rle", "rle": list(base64.b64decode(region["rle"]))}
    else:
        value = {"points": region["points"], "closed": True}
    size = {"original_width": region.get("width", width), "original_height": region.get("height", height)}
    return _result(fitting[0], region["label"], value) | {"to_name": image, "image_rotation": 0} | size


def _control(label: str, controls: Sequence[RegionControl]) -> RegionControl | None:
    """The control for a label: painting is preferred to outlines, as it shows every pixel."""
    suitable = [control for control in controls if label in control.labels]
    return next((control for control in suitable if control.kind == BRUSH), suitable[0] if suitable else None)


def _result(control: RegionControl, label: str, value: Result) -> Result:
    return {
        "id": uuid.uuid4().hex[:10],
        "from_name": control.name,
        "type": control.kind,
        "value": value | {control.kind: [label]},
    }


def _without_specks(mask: Mask, least_region: float, *, nothing: int) -> Mask:
    from scipy import ndimage  # slow to import, and the web process does not need it

    clean = mask.copy()
    for k in np.unique(mask).tolist():
        if k != nothing:
            parts, _ = ndimage.label(mask == k, structure=np.ones((3, 3)))
            small = np.bincount(parts.reshape(-1)) < least_region * mask.size
            small[0] = False  # the rest of the image
            clean[small[parts]] = nothing
    return clean


def _enlarged(mask: Mask, width: int, height: int) -> Mask:
    """The mask at (height, width): every pixel gets the value that is most frequent around it."""
    large = np.zeros((height, width), dtype=np.uint8)
    most = np.zeros((height, width), dtype=np.uint8)
    for value in np.unique(mask).tolist():
        where = Image.fromarray((mask == value).astype(np.uint8) * 255)
        share = np.asarray(where.resize((width, height), Image.Resampling.BILINEAR))
        large[share > most] = value
        np.maximum(most, share, out=most)
    return large


def _outlines(where: NDArray[np.bool_]) -> Iterator[Ring]:
    """An outline around each part, along the edges of pixels. A bridge of zero width joins holes to the outline."""
    import contourpy

    between = contourpy.contour_generator(z=np.pad(where, 1).astype(float), fill_type="OuterOffset")
    for points, offsets in zip(*between.filled(0.5, np.inf), strict=True):
        outline, *holes = (_simplified(ring[:-1] - 0.5) for ring in np.split(points, offsets[1:-1]))
        if len(outline) > 2:
            for hole in holes:
                outline = _joined(outline, hole) if len(hole) > 2 else outline
            yield outline


def _simplified(ring: Ring) -> Ring:
    """The outline without corners that are within `TOLERANCE` of its lines (Douglas-Peucker)."""
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
    """One outline of ring and hole, joined by a bridge between their two nearest corners."""
    distances = ((ring[:, None] - hole) ** 2).sum(axis=2)
    on_ring, on_hole = divmod(int(distances.argmin()), len(hole))
    return np.concatenate([ring[: on_ring + 1], hole[on_hole:], hole[: on_hole + 1], ring[on_ring:]])
