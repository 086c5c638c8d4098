"""The user's own way, in a real browser: fill in the form, wait, press "Label All Tasks", label with the mouse."""

from __future__ import annotations

import re

import pytest
from digits import QUICK, DigitProject, wait_until
from playwright.sync_api import Page, sync_playwright
from studio import Studio

SECONDS = 1000  # Playwright counts milliseconds


@pytest.fixture
def page(chromium, label_studio):
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60 * SECONDS)
        page.goto(f"{label_studio.url}/user/login/")
        page.fill("input[name=email]", label_studio.username)
        page.fill("input[name=password]", label_studio.password)
        page.click("button[type=submit]")
        page.wait_for_url(re.compile(r"/(projects)?/?$"))
        yield page
        browser.close()


def connect_model(page: Page, studio: Studio, project: int, url: str) -> None:
    page.goto(f"{studio.url}/projects/{project}/settings/ml")
    page.locator("button", has_text="Connect Model").first.click()
    page.fill("input[name=title]", "PT4AL")
    page.fill("input[name=url]", url)
    page.locator("button", has_text="Validate and Save").click()


def task_shown(page: Page, *, other_than: int) -> int:
    """Wait for the editor to show another task, and return its id."""
    number = page.locator(".lsf-current-task__task-id")
    shown: list[int] = []

    def another() -> bool:
        shown[:] = [int(text.split()[0].lstrip("#")) for text in number.all_inner_texts() if text.strip()]
        return bool(shown) and shown[0] != other_than

    wait_until(another)
    return shown[0]


def tick(page: Page, choice: int) -> None:
    """Tick a choice. The editor draws itself anew a moment after it shows the next task's number."""
    box = page.locator(".lsf-choice__item input").nth(choice)

    def stays_ticked() -> bool:
        box.check()
        page.wait_for_timeout(0.5 * SECONDS)
        return box.is_checked()

    wait_until(stays_ticked)


def test_connect_and_label_three_tasks_with_the_mouse(page, label_studio, start_backend):
    backend = start_backend(label_studio, **QUICK)
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


def test_a_config_it_cannot_learn_is_refused_on_the_form(page, label_studio, start_backend):
    backend = start_backend(label_studio, **QUICK)
    project = label_studio.create_project(
        "texts", '<View><Text name="t" value="$t"/><Choices name="c" toName="t"><Choice value="a"/></Choices></View>'
    )
    connect_model(page, label_studio, project, backend.url)
    page.get_by_text(re.compile("PT4AL needs an Image tag")).first.wait_for()
