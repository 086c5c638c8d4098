"""The user's own way, in a real browser: fill in the form, wait, press "Label All Tasks", label with the mouse."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from support.digits import DigitProject
from support.editor import SECONDS, connect_model, task_shown, tick
from support.filled_store import add_ranked
from support.known_projects import QUICK, stored, wait_until
from support.served import serve
from support.shapes import CLASSES, Drawing, ShapeProject, overlap, shown
from support.studio import Result, Studio

from pt4al_backend.label_studio.label_config.regions import draw
from pt4al_backend.store.store import Store

SELECTED_LABEL = ".lsf-label_selected"


@pytest.fixture(scope="module")
def drawing_backend(label_studio, tmp_path_factory):
    """A backend for the projects with regions: so many labels close a round, and train a network that finds shapes."""
    settings = {"cycles": 1, "query_size": 9, "slack": 30, "image_size": 64, "main_epochs": 60, "train_growth": 0}
    with serve(label_studio, data_dir=tmp_path_factory.mktemp("regions") / "backend", **QUICK | settings) as backend:
        yield backend


def test_connect_and_label_three_tasks_with_the_mouse(page, label_studio, backend):
    project = DigitProject.create(label_studio, 40)
    connect_model(page, label_studio, project.number, backend.url)
    page.get_by_text("Connected", exact=True).first.wait_for()
    wait_until(lambda: project.version.startswith("pt4al-r"))

    page.goto(f"{label_studio.url}/projects/{project.number}/data")
    before, shown = project.queue(), 0
    page.locator("button", has_text="Label All Tasks").click()
    for _ in range(3):
        shown = task_shown(page, other_than=shown)
        assert shown in (before[0], project.queue()[0])
        tick(page, int(project.truth[shown]))
        before = [task for task in project.queue() if task != shown]
        page.locator("button", has_text="Submit").first.click()
    wait_until(lambda: backend.project(project.number)["labelled"] == 3)


def test_a_config_it_cannot_learn_is_refused_on_the_form(page, label_studio, backend):
    project = label_studio.create_project(
        "texts", '<View><Text name="t" value="$t"/><Choices name="c" toName="t"><Choice value="a"/></Choices></View>'
    )
    connect_model(page, label_studio, project, backend.url)
    page.get_by_text(re.compile("PT4AL needs an Image tag")).first.wait_for()


def test_the_dashboard_shows_when_it_gets_no_news(window, start_backend):
    backend = start_backend(None)
    wait_until(lambda: backend.status()["worker"]["alive"])
    window.goto(f"{backend.url}/dashboard")
    window.locator("#worker:not(.off)", has_text="Worker on").wait_for()
    window.route("**/dashboard", lambda route: route.fulfill(status=503))
    window.locator("#worker.off", has_text="responds with error 503").wait_for()
    window.unroute("**/dashboard")
    window.locator("#worker:not(.off)", has_text="Worker on").wait_for()
    backend.stop()
    window.locator("#worker.off", has_text="does not respond").wait_for()


def test_the_dashboard_tells_times_in_the_zone_of_the_reader(chromium, start_backend, tmp_path):
    store = Store(tmp_path / "data")
    project = add_ranked(store)
    written = datetime.fromtimestamp(project.updated_at, ZoneInfo("Asia/Tokyo"))
    store.close()
    backend = start_backend(None, data_dir=tmp_path / "data", command="web")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(timezone_id="Asia/Tokyo", locale="en-GB").new_page()
        page.goto(f"{backend.url}/dashboard/{project.id}")
        shown = page.locator("time").inner_text()
        page.wait_for_timeout(6 * SECONDS)  # the page has fetched itself again by then
        assert page.locator("time").inner_text() == shown
        browser.close()
    assert f"{written:%H:%M:%S}" in shown and "UTC" not in shown


@pytest.mark.xdist_group("regions")
@pytest.mark.parametrize(("control", "least"), [("brush", 0.99), ("polygon", 0.95)])
def test_guessed_regions_lie_on_the_shapes_and_are_submitted_as_they_are(
    page, label_studio, drawing_backend, tmp_path, control, least
):
    """On a landscape, a portrait, and a portrait that a phone saved on its side."""
    backend = drawing_backend
    drawings = [Drawing.make(number, scale=5, turned=number in (1, 9)) for number in range(12)]
    project = ShapeProject.create(label_studio, (control,), drawings, upload=tmp_path)
    project.connect(backend)
    looked_at = {"landscape": 0, "portrait": 3, "turned": 9}
    tasks = {name: list(project.truth)[number] for name, number in looked_at.items()}
    others = [task for task in project.truth if task not in tasks.values()]
    for task in others:
        project.label(task)
    # They close the round: it is published, trained, and published again. Later labels are refitted on only.
    wait_until(lambda: stored(backend, project, lambda _, row: row.main_labels) == len(others))
    wait_until(lambda: backend.project(project.number)["stage"] == "ready")
    for number, (name, task) in enumerate(tasks.items()):
        wait_until(lambda number=number: f"-n{len(others) + number}-" in project.version)
        guessed, drawing = project.published()[task], project.truth[task]
        sizes = {(result["original_width"], result["original_height"]) for result in guessed}
        assert sizes == {(drawing.width, drawing.height)}
        assert overlap(shown(guessed), drawing.mask()) > 0.6, name
        submitted = submit_as_shown(page, label_studio, project.number, task, shot=f"{control}-{name}")
        assert overlap(shown(submitted), shown(guessed)) >= least, name
    wait_until(lambda: backend.project(project.number)["labelled"] == len(project.truth))
    assert backend.project(project.number)["notes"] == []


@pytest.mark.xdist_group("regions")
def test_regions_made_with_the_mouse_are_learnt(page, label_studio, drawing_backend, tmp_path):
    """A stroke through a box and an outline of a disc, on portraits that a phone saved on their sides."""
    backend = drawing_backend
    drawings = [Drawing.make(number, scale=5, turned=number % 2 == 1) for number in (3, 9, 0, 2)]
    project = ShapeProject.create(label_studio, ("brush", "polygon"), drawings, upload=tmp_path)
    project.connect(backend)
    first, second = list(project.truth)[:2]
    box, disc = project.truth[first].shapes[0], project.truth[second].shapes[1]
    side = 160  # divides both sides of the drawings

    def mask_of(task: int, label: str) -> NDArray[np.bool_]:
        regions = stored(backend, project, lambda store, row: store.regions(row.id, [task]))[task]
        (region,) = (region for region in regions if region["label"] == label)  # the model may have guessed the other
        assert (region["width"], region["height"]) == (320, 480)
        return draw([region], CLASSES, side=side, background=True) == CLASSES.index(label)

    open_task(page, label_studio, project.number, first)
    at = place_of(page, project.truth[first])
    select_label(page, hotkey="1")
    page.mouse.move(*at(box.left + 30, box.top + 50))
    page.mouse.down()
    page.mouse.move(*at(box.right - 30, box.top + 50), steps=20)
    page.mouse.up()
    submit(page, label_studio, first, shot="stroke")
    wait_until(lambda: backend.project(project.number)["labelled"] == 1)
    painted, truth = mask_of(first, "box"), box.covers(320, 480)[1::3, ::2]
    assert painted.any(axis=0).sum() > 0.4 * truth.any(axis=0).sum()
    assert (painted & truth).sum() > 0.99 * painted.sum()

    open_task(page, label_studio, project.number, second)
    at = place_of(page, project.truth[second])
    select_label(page, hotkey="4")
    corners = disc.corners[::4]
    for corner in [*corners, corners[0]]:
        page.mouse.move(*at(*corner))
        page.mouse.click(*at(*corner))
        page.wait_for_timeout(0.4 * SECONDS)  # two clicks at once are a double click
    expect(page.locator(SELECTED_LABEL)).to_have_count(
        0, timeout=60 * SECONDS
    )  # until the outline is closed, its label stays selected
    submit(page, label_studio, second, shot="outline")
    wait_until(lambda: backend.project(project.number)["labelled"] == 2)
    outlined, truth = mask_of(second, "disc"), disc.covers(320, 480)[1::3, ::2]
    assert (outlined & truth).sum() > 0.8 * (outlined | truth).sum()
    assert backend.project(project.number)["notes"] == []


def place_of(page: Page, drawing: Drawing) -> Callable[[float, float], tuple[float, float]]:
    """What tells where in the window a pixel of the drawing is shown."""
    places = [picture.bounding_box() for picture in page.locator("img").all()]
    image = max((place for place in places if place), key=lambda place: place["width"] * place["height"])

    def at(x: float, y: float) -> tuple[float, float]:
        return image["x"] + x * image["width"] / drawing.width, image["y"] + y * image["height"] / drawing.height

    return at


def submit_as_shown(page: Page, studio: Studio, project: int, task: int, *, shot: str) -> list[Result]:
    """Open a task and submit what the editor shows."""
    open_task(page, studio, project, task)
    return submit(page, studio, task, shot=shot)


def open_task(page: Page, studio: Studio, project: int, task: int) -> None:
    page.goto(f"{studio.url}/projects/{project}/data?task={task}")
    page.locator("canvas").first.wait_for()
    page.wait_for_timeout(2 * SECONDS)  # regions are drawn a moment after the image


def select_label(page: Page, *, hotkey: str) -> None:
    """Press a label's key until the editor shows it as selected: an editor that is still loading misses keys."""
    selected = page.locator(SELECTED_LABEL, has_text=hotkey)

    def is_selected() -> bool:
        page.keyboard.press(hotkey)
        with suppress(PlaywrightTimeout):
            selected.wait_for(timeout=5 * SECONDS)
        return selected.is_visible()

    wait_until(is_selected)


def submit(page: Page, studio: Studio, task: int, *, shot: str) -> list[Result]:
    """Press Submit and return what is stored. The folder PT4AL_SHOTS, if it is set, gets a picture of the editor."""
    if folder := os.environ.get("PT4AL_SHOTS"):
        page.screenshot(path=Path(folder) / f"{shot}.png")
    page.locator("button", has_text="Submit").first.click()

    def annotations() -> list[Result]:
        return studio.api("GET", f"/api/tasks/{task}/annotations")

    wait_until(annotations)
    (annotation,) = annotations()
    return list(annotation["result"])
