"""Regions: read from what a browser sent, drawn, and made from masks."""

from __future__ import annotations

import base64
import contextlib
import itertools
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle
from numpy.typing import NDArray

from pt4al_backend.label_studio.label_config import brush_rle
from pt4al_backend.label_studio.label_config.region_results import regions_result
from pt4al_backend.label_studio.label_config.regions import (
    BRUSH,
    POLYGON,
    UNKNOWN,
    RegionControl,
    draw,
    is_known,
    misfits,
    read_regions,
)

CLASSES = ("car", "road")
BRUSHED = (RegionControl("brush", BRUSH, CLASSES),)
OUTLINED = (RegionControl("poly", POLYGON, CLASSES),)
BOTH = (RegionControl("poly", POLYGON, CLASSES), RegionControl("brush", BRUSH, ("road",)))
PATIENT = settings(deadline=None, max_examples=40)
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


def stored(*results: dict[str, Any]) -> list[dict[str, Any]]:
    regions, faults = read_regions(results, (*BRUSHED, *OUTLINED), CLASSES)
    assert faults == []
    return regions


def fault_of(result: dict[str, Any]) -> str:
    regions, (fault,) = read_regions([result], (*BRUSHED, *OUTLINED), CLASSES)
    assert not any(map(is_known, regions)) and fault.endswith(".")
    return fault


# Run lengths


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([1, 2, 4, 5, 64, 65, 16384, 16385, 40000])), min_size=1, max_size=8
    )
)
def test_label_studio_reads_the_run_lengths_that_are_written(runs: list[tuple[bool, int]]) -> None:
    where = np.concatenate([np.full(length, painted) for painted, length in runs])
    own = brush_rle.packed(where)
    assert (decode_rle(own) == np.repeat(where.astype(np.uint8) * 255, 4)).all()  # type: ignore[no-untyped-call]
    assert len(own) <= len(mask2rle(where[None].astype(np.uint8) * 255))  # type: ignore[no-untyped-call]
    assert (brush_rle.painted(brush_rle.packed(where), len(where)) == where).all()


@PATIENT
@given(st.binary(min_size=1, max_size=60), st.integers(1, 40), st.booleans())
def test_run_lengths_are_read_as_label_studio_reads_them(content: bytes, repeat: int, coloured: bool) -> None:
    values = np.repeat(np.frombuffer(content * 4, dtype=np.uint8), repeat)
    if not coloured:
        values = np.repeat(values[::4], 4)
    numbers = bytes(encode_rle(values))  # type: ignore[no-untyped-call]
    found = brush_rle.painted(numbers, len(values) // 4)
    assert (found == (decode_rle(numbers)[3::4] > 0)).all()
    assert (found == (values[3::4] > 0)).all()


@PATIENT
@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(0, 7), min_size=1, max_size=16)), min_size=1, max_size=9),
    st.integers(3, 32),
)
def test_values_may_be_written_one_by_one_and_in_any_width(parts: list[tuple[bool, list[int]]], word: int) -> None:
    """As other writers of the format do, a browser's among them."""
    parts.append((False, [7] * (4 - sum(len(some) for _, some in parts) % 4)))
    values: list[int] = []
    bits = ""
    for is_run, some in parts:
        values += some[:1] * len(some) if is_run else some
        written = some[:1] if is_run else some
        bits += f"{int(is_run)}01{len(some) - 1:04b}" + "".join(f"{value:0{word}b}" for value in written)
    bits = f"{len(values):032b}{word - 1:05b}" + "0000" + "0011" + "0000" + "0010" + bits
    bits += "0" * (-len(bits) % 8)
    numbers = int(bits, 2).to_bytes(len(bits) // 8, "big")
    expected = [value > 0 for value in values[3::4]]
    assert brush_rle.painted(numbers, len(values) // 4).tolist() == expected


@PATIENT
@given(st.binary(max_size=200), st.integers(1, 1000))
def test_damaged_run_lengths_are_refused_or_read(junk: bytes, pixels: int) -> None:
    numbers = (4 * pixels).to_bytes(4, "big") + junk
    with contextlib.suppress(ValueError):
        assert brush_rle.painted(numbers, pixels).shape == (pixels,)


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


# Reading


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
        (polygon(TRIANGLE, from_name="old"), "the label config does not have that any more"),
        (brush(SOUND, width=None), "how large the image is"),
        (brush(SOUND, width=100_000, height=100_000), "100 megapixels"),
        (brush(SOUND, image_rotation=90), "turned"),
        (brush(SOUND, "mouse"), "does not have its label"),
        (brush(SOUND, value={"rle": SOUND}), "no label"),
        (brush(SOUND, value={"rle": SOUND, "brushlabels": ["car", "road"]}), "several labels"),
        (brush(SOUND, value={"rle": SOUND, "brushlabels": [["car"]]}), "does not have its label"),
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
def test_what_cannot_be_used_is_told(result: dict[str, Any], says: str) -> None:
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


# Drawing


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
def test_pixels_of_what_is_left_out_are_not_learnt(left_out: dict[str, Any], background: bool) -> None:
    regions, (_,) = read_regions([polygon(LEFT), left_out], (*BRUSHED, *OUTLINED), CLASSES)
    mask = draw(regions, CLASSES, side=10, background=background)
    assert (mask[:, :5] == 0).all() and (mask[:, 5:] == UNKNOWN).all()


def test_what_is_known_to_have_no_pixels_hides_none() -> None:
    for nothing in (brush([]), brush(packed(np.zeros((20, 30)))), polygon([]), polygon(TRIANGLE[:2])):
        regions, (_,) = read_regions([polygon(LEFT), nothing], (*BRUSHED, *OUTLINED), CLASSES)
        mask = draw(regions, CLASSES, side=10, background=True)
        assert (mask[:, :5] == 0).all() and (mask[:, 5:] == NOTHING).all()


def test_outside_a_region_that_is_left_out_the_background_is_learnt() -> None:
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
        ((20, 30), "30 x 20 pixels, and this one has 20 x 30, the other way round"),
        ((2000, 3000), "EXIF"),
        ((30, 30), "30 x 20 pixels, and this one has 30 x 30; paint it again."),
        ((300, 190), "300 x 190"),
    ],
)
def test_what_was_painted_has_to_fit_the_image(size: tuple[int, int], says: str) -> None:
    """As for a smaller copy of it; of a polygon in per cent the size tells nothing."""
    regions = stored(polygon(LEFT), brush(packed(RIGHT_HALF), "road"))
    told = misfits(regions, size)
    mask = draw(regions, CLASSES, side=10, background=True, size=size)
    assert [says in fault for fault in told] == ([True] if says else [])
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


# From a mask to results and back


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
