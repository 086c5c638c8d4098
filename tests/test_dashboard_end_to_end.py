"""What people do with the dashboard beside Label Studio, in a browser: connect, look, label, correct, take home."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect
from support.editor import SECONDS, connect_model, task_shown, tick
from support.known_projects import wait_until
from support.served import Backend
from support.shapes import SHADES, Drawing, ShapeProject
from support.studio import Studio, choices_result

DRAWINGS = 60
FAST = {"cycles": 3, "query_size": 6, "slack": 6, "poll_interval": 1, "idle_interval": 3, "pretext_epochs": 1}
LATER = 120 * SECONDS


def test_from_connecting_to_taking_home(
    page: Page, label_studio: Studio, start_backend: Callable[..., Backend], tmp_path: Path
) -> None:
    backend = start_backend(label_studio, device="cpu", fine_tune="off", **FAST)
    project = ShapeProject.create(label_studio, ("choice",), [Drawing.make(number) for number in range(DRAWINGS)])

    def labelled() -> int:
        return int(backend.status()["projects"][0]["labelled"])

    def label_next(count: int) -> None:
        for _ in range(count):
            before = labelled()
            project.label(project.queue()[0])
            wait_until(lambda before=before: labelled() > before)

    shown = page.context.new_page()  # the dashboard, beside Label Studio
    shown.set_default_timeout(LATER)
    trouble: list[str] = []
    shown.on("pageerror", lambda error: trouble.append(str(error)))
    shown.goto(f"{backend.url}/dashboard")
    expect(shown.get_by_text("No project is connected yet.")).to_be_visible()

    connect_model(page, label_studio, project.number, backend.url)
    page.get_by_text("Connected", exact=True).first.wait_for()
    row = shown.locator(".projects tbody tr")
    expect(row).to_contain_text("Ready", timeout=LATER)
    row.get_by_role("link", name="shapes").click()
    expect(shown.get_by_text("Nothing is known yet.")).to_be_visible()
    wait_until(lambda: project.version.startswith("pt4al-r"))

    stream = shown.get_by_role("link", name="Label images").get_attribute("href")
    assert stream is not None
    page.goto(stream)
    task = 0
    for _ in range(2):
        task = task_shown(page, other_than=task)
        tick(page, SHADES.index(project.truth[task].shade))
        page.locator("button", has_text="Submit").first.click()
    expect(shown.get_by_text(f"2 of {DRAWINGS} images", exact=True)).to_be_visible(timeout=LATER)

    label_next(10)
    expect(shown.get_by_text(re.compile("Cross-validated on 1[0-2] labels"))).to_be_visible(timeout=LATER)
    expect(shown.get_by_role("row", name=re.compile("^dark"))).to_be_visible()
    label_next(8)
    expect(shown.locator("img.chart")).to_be_visible(timeout=LATER)

    shown.get_by_role("link", name="Queue").click()
    first = project.queue()[0]
    expect(shown.locator(".tiles li").first).to_contain_text(f"Task {first}")
    project.label(first)
    expect(shown.locator(".tiles li").first).not_to_contain_text(f"Task {first}", timeout=LATER)

    flipped = project.queue()[:2]
    for task in flipped:
        other = next(shade for shade in SHADES if shade != project.truth[task].shade)
        label_studio.submit(task, [choices_result(other)])
    label_next(6)
    shown.get_by_role("link", name="Labels to check").click()
    for task in flipped:
        expect(shown.locator(".tiles li", has_text=f"Task {task}")).to_be_visible(timeout=LATER)
    listed = shown.locator(".tiles li", has_text=f"Task {flipped[0]}")
    page.goto(str(listed.get_by_role("link").get_attribute("href")))
    assert task_shown(page, other_than=0) == flipped[0], "it is open in Label Studio"
    listed.get_by_role("button", name="It is right").click()
    expect(shown.get_by_role("status")).to_contain_text(f"Task {flipped[0]} is no longer listed")
    expect(shown.locator(".tiles li", has_text=f"Task {flipped[0]}")).to_have_count(0)

    shown.get_by_role("link", name="Overview").click()
    shown.get_by_role("button", name="Pause").click()
    expect(shown.get_by_role("status")).to_contain_text("Paused")
    before = labelled()
    project.label(project.queue()[0])
    shown.wait_for_timeout(3 * SECONDS)
    assert labelled() == before
    shown.get_by_role("button", name="Resume").click()
    wait_until(lambda: labelled() == before + 1)

    shown.get_by_role("link", name="Settings").click()
    shown.get_by_label("query size").fill("4")
    shown.get_by_role("button", name="Save").click()
    expect(shown.get_by_label("query size")).to_have_value("4")
    wait_until(lambda: backend.status()["projects"][0]["query_size"] == 4)
    label_next(1)
    wait_until(lambda: 4 <= backend.status()["projects"][0]["queue_length"] <= 4 + FAST["slack"])

    shown.get_by_role("link", name="Overview").click()
    files = downloaded(shown, project.number, tmp_path)
    rows = list(csv.DictReader(files["labels.csv"].read_text().splitlines()))
    assert len(rows) == labelled()
    assert len(json.loads(files["labels.json"].read_text())) == labelled()
    assert len(json.loads(files["labels-coco.json"].read_text())["images"]) == labelled()
    with zipfile.ZipFile(files["labels-of-classes.zip"]) as lists:
        assert sum(len(lists.read(name).split()) for name in lists.namelist()) == labelled()
    assert b"<svg" in files["curve.svg"].read_bytes() and files["curve.png"].read_bytes().startswith(b"\x89PNG")
    shown.get_by_role("link", name="a report of one page").click()
    expect(shown.get_by_role("heading", level=1)).to_contain_text("shapes")
    assert trouble == []


def downloaded(page: Page, project: int, folder: Path) -> dict[str, Path]:
    """All files that the Overview offers, by name."""
    files = {}
    for link in page.locator("a[download], a[href*='/download/']").all():
        if "batches" in str(link.get_attribute("href")):
            continue  # the rotation task may not have been learned yet
        with page.expect_download() as waiting:
            link.click()
        name = waiting.value.suggested_filename.removeprefix(f"project-{project}-")
        files[name] = folder / name
        waiting.value.save_as(files[name])
    return files
