"""Regions: read from what a browser sent, and drawn."""

from __future__ import annotations

import base64
import itertools
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.regions import BRUSHED, CLASSES, NOTHING, OUTLINED, brush, packed, polygon

from pt4al_backend.label_studio.label_config import brush_rle
from pt4al_backend.label_studio.label_config.regions import (
    UNKNOWN,
    draw,
    is_known,
    misfits,
    read_regions,
)

PATIENT = settings(deadline=None, max_examples=40)


def stored(*results: dict[str, Any]) -> list[dict[str, Any]]:
    regions, faults = read_regions(results, (*BRUSHED, *OUTLINED), CLASSES)
    assert faults == []
    return regions


def fault_of(result: dict[str, Any]) -> str:
    regions, (fault,) = read_regions([result], (*BRUSHED, *OUTLINED), CLASSES)
    assert not any(map(is_known, regions)) and fault.endswith(".")
    return fault


def test_whatever_a_browser_sends_takes_little_memory() -> None:
    whole = bytes(packed(np.ones((20, 30))))
    hostile = [
        brush(list((2**32 - 1).to_bytes(4, "big") + whole[4:])),
        brush([255] * 1000, width=10**9, height=10**9),
        brush([0] * (brush_rle.MOST_BYTES + 1)),
        brush(10**12),
        brush("x" * 100),
        brush([1, 2, "3"]),
        brush([1, 2, 3000]),
        brush(list(whole), width=10**400),
        polygon([[0, 0], [1e308, float("inf")], [10**400, 5]]),
    ]
    tracemalloc.start()
    for result in hostile:
        fault_of(result)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000


def test_regions_are_stored_as_they_came() -> None:
    numbers = packed(np.eye(20, 30))
    painted, outlined = stored(brush(numbers), polygon([[0, 0], [100, 0], [50, 99.5]], "road"))
    assert painted == {"label": "car", "width": 30, "height": 20, "rle": base64.b64encode(bytes(numbers)).decode()}
    assert outlined == {
        "label": "road",
        "width": 30,
        "height": 20,
        "points": [[0.0, 0.0], [100.0, 0.0], [50.0, 99.5]],
    }
    (clipped,) = stored(polygon([[-1, 0], [101.5, 0], [50, 100.01]]))
    assert clipped["points"] == [[0.0, 0.0], [100.0, 0.0], [50.0, 100.0]]
    assert stored({"type": "relation", "from_id": "b"}, {"type": "rectanglelabels", "from_name": "other"}) == []


SOUND = packed(np.ones((20, 30)))
TRIANGLE = [[0, 0], [9, 0], [0, 9]]


@pytest.mark.parametrize(
    ("result", "says"),
    [
        (brush([]), "nothing is painted"),
        (brush(None), "nothing is painted"),
        (brush(packed(np.zeros((20, 30)))), "nothing is painted"),
        (brush(SOUND[:-2]), "damaged"),
        (brush(SOUND, width=31), "size"),
        (brush(SOUND, width=0), "how large the image is"),
        (brush(SOUND, width=30.5), "how large the image is"),
        (brush(SOUND, width=float("inf")), "how large the image is"),
        (brush(SOUND, width="30"), "how large the image is"),
        (brush([{}, *SOUND[1:]]), "damaged"),
        (brush([0.5, *SOUND[1:]]), "damaged"),
        (polygon(TRIANGLE, from_name="old"), "no longer has that control"),
        (brush(SOUND, width=None), "how large the image is"),
        (brush(SOUND, width=100_000, height=100_000), "100 megapixels"),
        (brush(SOUND, image_rotation=90), "rotated"),
        (brush(SOUND, "mouse"), "no longer has its label"),
        (brush(SOUND, value={"rle": SOUND}), "no label"),
        (brush(SOUND, value={"rle": SOUND, "brushlabels": ["car", "road"]}), "several labels"),
        (brush(SOUND, value={"rle": SOUND, "brushlabels": [["car"]]}), "no longer has its label"),
        (brush(SOUND, value=None), "neither painted nor a polygon"),
        (brush(SOUND, type="brush"), "no label"),
        (brush(SOUND, type="rectanglelabels"), "neither painted nor a polygon"),
        (polygon(TRIANGLE[:2]), "fewer than three points"),
        (polygon(None), "fewer than three points"),
        (polygon([*TRIANGLE, [float("nan"), 0]]), "outside"),
        (polygon([*TRIANGLE, [110, 0]]), "outside"),
        (polygon([*TRIANGLE, [1]]), "outside"),
        (polygon([*TRIANGLE, ["1", 2]]), "outside"),
        (polygon([*TRIANGLE, {"x": 1, "y": 2}]), "outside"),
    ],
)
def test_what_cannot_be_used_is_named(result: dict[str, Any], says: str) -> None:
    assert says in fault_of(result)


@pytest.mark.parametrize(
    "sides", [{}, {"original_width": 0, "original_height": -1}, {"original_width": None, "original_height": "20"}]
)
def test_a_polygon_needs_no_size(sides: dict[str, Any]) -> None:
    result = polygon(TRIANGLE)
    for side in ("original_width", "original_height"):
        del result[side]
    (region,) = stored(result | sides)
    assert region == {"label": "car", "points": [[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]]}


def test_numbers_and_labels_may_be_written_otherwise() -> None:
    """As converters do: whole numbers with a point, a lone label without a list."""
    floats = [float(number) for number in SOUND]
    assert stored(brush(floats, width=30.0, height=20.0)) == stored(brush(SOUND))
    assert stored(polygon(TRIANGLE, original_width=30.0)) == stored(polygon(TRIANGLE))
    bare = brush(SOUND)
    bare["value"]["brushlabels"] = "car"
    assert stored(bare) == stored(brush(SOUND))


LEFT, RIGHT = ([[x, 0], [x + 50, 0], [x + 50, 100], [x, 100]] for x in (0, 50))
RIGHT_HALF = np.arange(30) >= np.full((20, 1), 15)


@pytest.mark.parametrize(
    "left_out",
    [
        polygon(RIGHT, "mouse"),
        polygon(RIGHT, value={"points": RIGHT}),
        polygon(RIGHT, value={"points": RIGHT, "polygonlabels": ["car", "road"]}),
        polygon(RIGHT, "car", from_name="old"),
        brush(packed(RIGHT_HALF), "mouse"),
        # Their shapes are not known.
        polygon([[50, 0], [103, 0], [100, 100], [50, 100]]),
        polygon(RIGHT, image_rotation=90),
        brush(SOUND, type="rectanglelabels"),
        brush(SOUND[:-2]),
        brush(SOUND, width=31),
    ],
)
@pytest.mark.parametrize("background", [True, False])
def test_pixels_of_what_is_left_out_are_not_learned(left_out: dict[str, Any], background: bool) -> None:
    regions, (_,) = read_regions([polygon(LEFT), left_out], (*BRUSHED, *OUTLINED), CLASSES)
    mask = draw(regions, CLASSES, side=10, background=background)
    assert (mask[:, :5] == 0).all() and (mask[:, 5:] == UNKNOWN).all()


def test_what_is_known_to_have_no_pixels_hides_none() -> None:
    for nothing in (brush([]), brush(packed(np.zeros((20, 30)))), polygon([]), polygon(TRIANGLE[:2])):
        regions, (_,) = read_regions([polygon(LEFT), nothing], (*BRUSHED, *OUTLINED), CLASSES)
        mask = draw(regions, CLASSES, side=10, background=True)
        assert (mask[:, :5] == 0).all() and (mask[:, 5:] == NOTHING).all()


def test_outside_a_region_that_is_left_out_the_background_is_learned() -> None:
    quarter = [[50, 0], [100, 0], [100, 50], [50, 50]]
    regions, _ = read_regions([polygon(LEFT), polygon(quarter, "mouse")], OUTLINED, CLASSES)
    mask = draw(regions, CLASSES, side=10, background=True)
    assert (mask[:5, 5:] == UNKNOWN).all() and (mask[5:, 5:] == NOTHING).all() and (mask[:, :5] == 0).all()


@pytest.mark.parametrize(
    ("size", "says"),
    [
        ((30, 20), ""),
        ((60, 40), ""),
        ((61, 40), ""),  # rounded
        ((10, 7), ""),
        ((0, 0), ""),  # not known
        ((20, 30), "30 x 20 pixels, and this one has 20 x 30, swapped"),
        ((2000, 3000), "EXIF"),
        ((30, 30), "30 x 20 pixels, and this one has 30 x 30; paint it again."),
        ((300, 190), "300 x 190"),
    ],
)
def test_what_was_painted_has_to_fit_the_image(size: tuple[int, int], says: str) -> None:
    """As for a smaller copy of it; of a polygon in per cent the size tells nothing."""
    regions = stored(polygon(LEFT), brush(packed(RIGHT_HALF), "road"))
    sentences = misfits(regions, size)
    mask = draw(regions, CLASSES, side=10, background=True, size=size)
    assert [says in fault for fault in sentences] == ([True] if says else [])
    assert (mask[:, :5] == 0).all() and (mask[:, 5:] == (UNKNOWN if says else 1)).all()


def test_later_regions_lie_on_top() -> None:
    left = np.zeros((20, 30))
    left[:, :15] = 1
    whole = [[0, 0], [100, 0], [100, 100], [0, 100]]
    mask = draw(stored(polygon(whole, "road"), brush(packed(left), "car")), CLASSES, side=10, background=True)
    assert (mask[:, :5] == 0).all() and (mask[:, 5:] == 1).all()
    mask = draw(stored(brush(packed(left), "car"), polygon(whole, "road")), CLASSES, side=10, background=True)
    assert (mask == 1).all()


def test_where_no_region_is() -> None:
    assert (draw([], CLASSES, side=8, background=True) == 2).all()
    assert (draw([], CLASSES, side=8, background=False) == 255).all()
    gone = stored(polygon(TRIANGLE))
    assert (draw(gone, ("road",), side=8, background=False) == 255).all()


@PATIENT
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=3, max_size=12), st.integers(1, 40))
def test_polygons_are_filled_by_the_even_odd_rule(corners: list[tuple[int, int]], side: int) -> None:
    """Far from its lines, a pixel is in a polygon if a ray from it crosses an odd number of them."""
    mask = draw(stored(polygon([list(corner) for corner in corners])), CLASSES, side=side, background=True)
    ends = np.array(corners, dtype=float)
    for row, column in itertools.product(range(side), repeat=2):
        x, y = (column + 0.5) * 100 / side, (row + 0.5) * 100 / side
        if _distance(ends, x, y) > 100 / side:
            assert mask[row, column] == (0 if _is_inside(ends, x, y) else NOTHING)


PLACE = st.integers(0, 100_000).map(lambda number: number / 1000)


@PATIENT
@given(st.lists(st.tuples(PLACE, PLACE), min_size=3, max_size=9), st.integers(1, 12))
def test_a_polygon_has_the_pixels_whose_middles_it_holds(corners: list[tuple[float, float]], side: int) -> None:
    """As many of a pixel's sixteen parts as have their middles in the polygon decide."""
    mask = draw(stored(polygon([list(corner) for corner in corners])), CLASSES, side=side, background=True)
    middles = (np.arange(4 * side) + 0.5) * 25 / side
    ends = np.array(corners)
    near = [[_distance(ends, x, y) < 1e-6 for x in middles] for y in middles]
    inside = np.array([[_is_inside(ends, x, y) for x in middles] for y in middles])
    parts = inside.reshape(side, 4, side, 4).sum(axis=(1, 3))
    certain = ~np.array(near).reshape(side, 4, side, 4).any(axis=(1, 3))
    assert (mask == np.where(parts >= 8, 0, NOTHING))[certain].all()


def test_an_outline_with_many_points_takes_little_memory() -> None:
    """To and fro across the whole image, fifty thousand times: 13 million crossings."""
    zigzag = [[0 if point % 2 else 100, 100 * point / 50_000] for point in range(50_000)]
    regions = stored(polygon(zigzag))
    tracemalloc.start()
    draw(regions, CLASSES, side=64, background=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 60_000_000


def _distance(ends: NDArray[np.float64], x: float, y: float) -> float:
    begin, way = ends, np.roll(ends, -1, axis=0) - ends
    length = np.maximum((way**2).sum(axis=1), 1e-9)
    part = np.clip((([x, y] - begin) * way).sum(axis=1) / length, 0, 1)
    return float(np.sqrt(((begin + part[:, None] * way - [x, y]) ** 2).sum(axis=1)).min())


def _is_inside(ends: NDArray[np.float64], x: float, y: float) -> bool:
    (x0, y0), (x1, y1) = ends.T, np.roll(ends, -1, axis=0).T
    crosses = (y0 > y) != (y1 > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
    return bool((crosses & (at > x)).sum() % 2)
