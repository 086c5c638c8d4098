"""The map of a pool in a browser: what one sees by pointing, opens by clicking, and lists by drawing or by keyboard."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect
from support.map_page import SIDE, MapServer, columns, serve_map

PLACES = {1: (0.1, 0.1), 2: (0.1, 0.9), 3: (0.9, 0.1), 4: (0.9, 0.9), 5: (0.5, 0.5)}
"""Of each task, as shares of the map's width and height."""
FILLED = 0.94  # of the canvas, by the whole map


@pytest.fixture
def served() -> Iterator[MapServer]:
    x, y = ([round(SIDE * place[axis]) for place in PLACES.values()] for axis in (0, 1))
    known = {"class": [0, 0, 1, 1, -1], "classes": ["cat", "dog"], "labelled": [1, 0, 1, 0, 0], "queue": [4]}
    with serve_map(columns(x, y, **known)) as served:
        yield served


@pytest.fixture
def map_of(window: Page, served: MapServer) -> Locator:
    window.goto(served.url)
    expect(window.get_by_role("status")).to_have_text("No task is selected.")
    return window.locator("section.map")


def place(found: Locator, task: int) -> tuple[float, float]:
    """Where the task's image is in the window, while the whole map is shown."""
    box = found.locator("canvas").bounding_box()
    assert box is not None
    across, down = (FILLED * box[side] for side in ("width", "height"))
    across, down = min(across, 2 * down), min(down, 2 * across)
    x, y = PLACES[task]
    return box["x"] + box["width"] / 2 + (x - 0.5) * across, box["y"] + box["height"] / 2 + (y - 0.5) * down


def test_pointing_shows_an_image_and_clicking_opens_its_task(window: Page, served: MapServer, map_of: Locator) -> None:
    window.mouse.move(*place(map_of, 3))
    expect(map_of.locator("figcaption")).to_have_text("Task 3: dog")
    window.mouse.move(*place(map_of, 5))
    expect(map_of.locator("figcaption")).to_have_text("Task 5: not labelled, number 1 in the queue")
    with window.context.expect_page() as opened:
        window.mouse.click(*place(map_of, 2))
    expect(opened.value).to_have_title("Task 2")
    assert {"thumbnail 3", "thumbnail 5"} <= set(served.asked)


@pytest.mark.parametrize("how", ["shift", "button"])
def test_a_lasso_lists_what_is_inside(window: Page, map_of: Locator, how: str) -> None:
    if how == "shift":
        window.keyboard.down("Shift")
    else:
        map_of.get_by_role("button", name="Lasso").click()
    corners = [place(map_of, 1), place(map_of, 2)]
    around = [(corners[0][0] - 20, corners[0][1] - 20), (corners[0][0] + 20, corners[0][1] - 20)]
    around += [(corners[1][0] + 20, corners[1][1] + 20), (corners[1][0] - 20, corners[1][1] + 20)]
    window.mouse.move(*around[0])
    window.mouse.down()
    for corner in [*around[1:], around[0]]:
        window.mouse.move(*corner, steps=5)
    window.mouse.up()
    expect(window.get_by_role("status")).to_have_text("2 tasks are selected.")
    expect(map_of.locator(".map-list li")).to_contain_text(["Task 1", "Task 2"])


def test_what_is_pointed_at_stays_there_while_zooming(window: Page, map_of: Locator) -> None:
    window.mouse.move(*place(map_of, 4))
    for _ in range(3):
        window.mouse.wheel(0, -300)
    window.mouse.move(place(map_of, 4)[0] + 1, place(map_of, 4)[1])
    expect(map_of.locator("figcaption")).to_contain_text("Task 4")
    map_of.get_by_role("button", name="List those in view").click()
    expect(window.get_by_role("status")).to_have_text("1 task is selected.")
    map_of.get_by_role("button", name="Whole map").click()
    map_of.get_by_role("button", name="List those in view").click()
    expect(window.get_by_role("status")).to_have_text("5 tasks are selected.")


def test_by_keyboard(window: Page, map_of: Locator) -> None:
    map_of.locator("canvas").focus()
    for _ in range(5):
        window.keyboard.press("+")
    window.keyboard.press("Enter")
    expect(map_of.locator(".map-list li")).to_contain_text(["Task 5"])
    window.keyboard.press("0")
    window.keyboard.press("Enter")
    expect(map_of.locator(".map-list li")).to_have_count(5)
    window.keyboard.press("Escape")
    expect(window.get_by_role("status")).to_have_text("No task is selected.")


def test_colours_say_how_many_there_are(map_of: Locator) -> None:
    choice = map_of.get_by_label("Colour")
    expect(choice).to_have_value("class")
    expect(map_of.locator(".map-legend")).to_contain_text("cat (2)")
    choice.select_option("labelled")
    expect(map_of.locator(".map-legend")).to_contain_text("(2)")
    expect(choice.locator("option[value=batch]")).to_be_disabled()


def test_what_is_selected_stays_when_the_map_changes(window: Page, served: MapServer, map_of: Locator) -> None:
    map_of.get_by_role("button", name="List those in view").click()
    served.columns = columns([0, SIDE], [0, SIDE]) | {"task": [5, 9]}
    map_of.dispatch_event("reload")
    expect(window.get_by_role("status")).to_have_text("1 task is selected.")
    expect(map_of.locator(".map-list li")).to_contain_text(["Task 5"])


def test_a_map_that_cannot_be_had_or_is_empty_says_so(window: Page, served: MapServer) -> None:
    served.status = 503
    window.goto(served.url)
    expect(window.get_by_role("status")).to_contain_text("The map cannot be loaded (error 503).")
    served.status, served.columns = 200, columns([], [])
    window.goto(served.url)
    expect(window.get_by_role("status")).to_contain_text("There is nothing to show yet")
