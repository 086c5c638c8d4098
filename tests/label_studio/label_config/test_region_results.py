"""From a mask to results and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import decode_rle
from numpy.typing import NDArray
from support.regions import BOTH, BRUSHED, CLASSES, NOTHING, OUTLINED, Mask

from pt4al_backend.label_studio.label_config.region_results import regions_result, written_region
from pt4al_backend.label_studio.label_config.regions import BRUSH, RegionControl, draw, read_regions

PATIENT = settings(deadline=None, max_examples=40)


def ellipse(side: int, x: float, y: float, wide: float, high: float) -> NDArray[np.bool_]:
    rows, columns = (np.mgrid[:side, :side] + 0.5) / side
    inside: NDArray[np.bool_] = ((columns - x) / wide) ** 2 + ((rows - y) / high) ** 2 <= 1
    return inside


def scene(side: int) -> Mask:
    """A ring with an island in its hole, two more parts, one of them at the edge, and a second class beside."""
    mask = np.full((side, side), NOTHING, dtype=np.uint8)
    mask[ellipse(side, 0.35, 0.4, 0.3, 0.35)] = 0
    mask[ellipse(side, 0.3, 0.4, 0.12, 0.2)] = NOTHING
    mask[ellipse(side, 0.48, 0.3, 0.08, 0.06)] = NOTHING
    mask[ellipse(side, 0.3, 0.4, 0.06, 0.08)] = 0
    mask[ellipse(side, 0.95, 0.9, 0.2, 0.2)] = 0
    mask[ellipse(side, 0.6, 0.75, 0.2, 0.15)] = 1
    mask[: side // 10, side // 2 :] = 1
    return mask


def results_of(mask: Mask, controls: tuple[RegionControl, ...], **options: Any) -> list[dict[str, Any]]:
    arguments: dict[str, Any] = {
        "image": "image",
        "width": 640,
        "height": 480,
        "least_region": 0.0,
        "score": 0.5,
    } | options
    return regions_result(mask, controls, CLASSES, **arguments)


def overlap(mask: Mask, other: Mask, value: int) -> float:
    """Intersection over union."""
    one, two = mask == value, other == value
    return float((one & two).sum() / (one | two).sum()) if (one | two).any() else 1.0


def there_and_back(mask: Mask, controls: tuple[RegionControl, ...], **options: Any) -> Mask:
    regions, faults = read_regions(results_of(mask, controls, **options), controls, CLASSES)
    assert faults == []
    return draw(regions, CLASSES, side=len(mask), background=True)


@pytest.mark.parametrize(("width", "height"), [(640, 480), (480, 853), (2000, 1500), (300, 200)])
@pytest.mark.parametrize("side", [64, 96, 97])
@pytest.mark.parametrize(("controls", "least"), [(BRUSHED, 0.99), (OUTLINED, 0.95), (BOTH, 0.95)])
def test_masks_survive(controls: tuple[RegionControl, ...], least: float, side: int, width: int, height: int) -> None:
    mask = scene(side)
    back = there_and_back(mask, controls, width=width, height=height)
    assert min(overlap(mask, back, value) for value in (0, 1, NOTHING)) >= least


@st.composite
def masks(draws: Callable[..., Any]) -> Mask:
    """Ellipses on one another, each large enough to be more than its own edge."""
    side = draws(st.integers(48, 100))
    mask = np.full((side, side), NOTHING, dtype=np.uint8)
    place, size = st.floats(0.1, 0.9), st.floats(0.15, 0.5)
    for value, *where in draws(st.lists(st.tuples(st.integers(0, 2), place, place, size, size), max_size=6)):
        mask[ellipse(side, *where)] = value
    return mask


@PATIENT
@given(masks(), st.integers(200, 1200), st.integers(200, 1200), st.sampled_from([BRUSHED, OUTLINED, BOTH]))
def test_no_pixel_moves_far(mask: Mask, width: int, height: int, controls: tuple[RegionControl, ...]) -> None:
    """Whatever the shapes: only pixels at an edge may change, and few of them."""
    back = there_and_back(mask, controls, width=width, height=height)
    changed = mask != back
    assert not (changed & ~_at_edges(mask)).any()
    assert changed.mean() < 0.02


def _at_edges(mask: Mask) -> NDArray[np.bool_]:
    """Whether a pixel has a neighbour of another value."""
    padded = np.pad(mask, 1, mode="edge")
    side = len(mask)
    near = [padded[row : row + side, column : column + side] for row in range(3) for column in range(3)]
    return np.any([other != mask for other in near], axis=0)


def test_results_are_as_label_studio_writes_them() -> None:
    mask = scene(96)
    results = results_of(mask, BOTH)
    assert [result["type"] for result in results] == ["brushlabels", "polygonlabels", "polygonlabels", "polygonlabels"]
    assert len({result["id"] for result in results}) == len(results)
    for result in results:
        value = result.pop("value")
        kind = result["type"]
        assert value.pop(kind) == ["road" if kind == BRUSH else "car"]
        assert value.keys() == ({"format", "rle"} if kind == BRUSH else {"points", "closed"})
        assert result.pop("id") and result == {
            "type": kind,
            "from_name": "brush" if kind == BRUSH else "poly",
            "to_name": "image",
            "original_width": 640,
            "original_height": 480,
            "image_rotation": 0,
            "score": 0.5,
        }
    decoded = decode_rle(bytes(results_of(mask, BRUSHED)[0]["value"]["rle"]))
    assert decoded.shape == (640 * 480 * 4,) and set(np.unique(decoded)) == {0, 255}


def test_small_parts_are_left_out() -> None:
    mask = scene(100)
    mask[50:52, 80:84] = 1
    for controls in (BRUSHED, OUTLINED):
        without = there_and_back(mask, controls, least_region=0.002)
        assert (without[48:54, 78:86] == NOTHING).all()
        assert min(overlap(scene(100), without, value) for value in (0, 1)) > 0.95
    assert results_of(mask, BRUSHED, least_region=0.99) == []


@pytest.mark.parametrize("controls", [BRUSHED, OUTLINED])
def test_odd_masks(controls: tuple[RegionControl, ...]) -> None:
    one_pixel = np.full((32, 32), NOTHING, dtype=np.uint8)
    one_pixel[3, 3] = 1
    noise = np.random.default_rng(0).integers(0, 3, (32, 32)).astype(np.uint8)
    for mask in (np.full((32, 32), NOTHING, np.uint8), np.zeros((32, 32), np.uint8), one_pixel, noise):
        for width, height in ((640, 480), (20, 10), (1, 1), (5000, 2)):
            regions, _ = read_regions(results_of(mask, controls, width=width, height=height), controls, CLASSES)
            draw(regions, CLASSES, side=32, background=True)
    assert results_of(one_pixel, controls, width=0) == results_of(one_pixel, controls, width=10**5, height=10**5) == []
    beyond = np.full((32, 32), 7, dtype=np.uint8)  # made for a config with more classes
    assert results_of(beyond, controls) == []


@PATIENT
@given(masks(), st.integers(30, 200), st.integers(30, 200), st.sampled_from([BRUSHED, OUTLINED, BOTH]))
def test_regions_that_people_made_are_written_as_they_were(
    mask: Mask, width: int, height: int, controls: tuple[RegionControl, ...]
) -> None:
    regions, _ = read_regions(results_of(mask, controls, width=width, height=height), controls, CLASSES)
    written = [written_region(region, controls, image="image", width=1, height=1) for region in regions]
    again, faults = read_regions([result for result in written if result is not None], controls, CLASSES)
    assert again == regions and faults == []


def test_a_region_without_a_control_or_a_shape_is_not_written() -> None:
    outlined = {"label": "car", "points": [[0.0, 0.0], [9.0, 0.0], [9.0, 9.0]]}
    assert written_region(outlined, BRUSHED, image="image", width=9, height=9) is None
    assert written_region({"label": "car"}, BOTH, image="image", width=9, height=9) is None
    assert written_region(outlined | {"label": "gone"}, OUTLINED, image="image", width=9, height=9) is None
