"""What a person does on Label Studio's pages, in a browser."""

from __future__ import annotations

from playwright.sync_api import Page

from support.known_projects import wait_until
from support.studio import Studio

SECONDS = 1000  # Playwright counts milliseconds


def connect_model(page: Page, studio: Studio, project: int, url: str) -> None:
    """Fill in the form of the project's Settings, Model."""
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
    """Tick a choice. The editor redraws itself a moment after it shows the next task's number."""
    box = page.locator(".lsf-choice__item input").nth(choice)

    def stays_ticked() -> bool:
        box.check()
        page.wait_for_timeout(0.5 * SECONDS)
        return box.is_checked()

    wait_until(stays_ticked)
