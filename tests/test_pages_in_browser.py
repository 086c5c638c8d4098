"""The pages of a project in a browser: for everybody, in light and dark, wide and narrow, and what people do there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright
from support.filled_pages import fill_pages
from support.served import Backend

from pt4al_backend.store.store import Store

PAGES = ("", "/queue", "/images", "/labels", "/settings")
SERIOUS = ("serious", "critical")


@pytest.fixture
def address(start_backend: Callable[..., Backend], tmp_path: Path) -> Iterator[str]:
    store = Store(tmp_path / "data")
    project = fill_pages(store)
    store.close()
    yield f"{start_backend(None, data_dir=tmp_path / 'data', command='web').url}/dashboard/{project.id}"


@pytest.fixture
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def opened(browser: Browser, *, width: int = 1400, scheme: Any = "light") -> tuple[Page, list[str]]:
    """A page, and what the browser has to say about it."""
    page = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    return page, said


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1600, 390])
def test_nothing_serious_stands_in_anybodys_way(browser: Browser, address: str, scheme: str, width: int) -> None:
    page, said = opened(browser, width=width, scheme=scheme)
    for name in PAGES:
        page.goto(address + name, wait_until="domcontentloaded")
        page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
        found = Axe().run(page).response["violations"]
        serious = [
            (each["id"], [node["html"] for node in each["nodes"]]) for each in found if each["impact"] in SERIOUS
        ]
        assert serious == [], name
        assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is wider than the window"
    assert [words for words in said if "404" not in words] == []


def test_every_thumbnail_and_chart_is_there(browser: Browser, address: str) -> None:
    """Without scripts, too: nothing is replaced while it is looked at then, and nothing waits to be scrolled to."""
    page = browser.new_context(java_script_enabled=False).new_page()
    for name in ("", "/queue", "/labels"):
        page.goto(address + name, wait_until="domcontentloaded")  # Matplotlib's first chart takes its time
        images = page.locator("main img")
        assert images.count()
        for image in images.all():
            expect(image).to_have_js_property("complete", True, timeout=120_000)
            assert image.evaluate("(each) => each.naturalWidth") > 0


def test_what_people_do_there(browser: Browser, address: str) -> None:
    page, said = opened(browser)
    page.goto(address, wait_until="domcontentloaded")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("status")).to_contain_text("Paused.")
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_role("status")).to_contain_text("Resumed.")
    page.get_by_role("link", name="Labels to check").click()
    expect(page.get_by_text("Task 3")).to_be_visible()
    page.get_by_role("button", name="It is right").first.click()
    expect(page.get_by_role("status")).to_contain_text("Task 3 is no longer listed")
    expect(page.get_by_text("Task 5")).to_be_visible()
    page.get_by_role("link", name="Settings").click()
    page.get_by_label("target").fill("much")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was changed. target: it has to be a number.")
    page.get_by_role("link", name="Back").click()
    page.get_by_label("target").fill("90")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("target")).to_have_value(re.compile("90"))
    assert [words for words in said if "400" not in words] == []


def test_a_number_of_the_confusion_matrix_opens_its_images_by_keyboard(browser: Browser, address: str) -> None:
    page, _ = opened(browser)
    page.goto(address, wait_until="domcontentloaded")
    page.get_by_text("What is taken for what").press("Enter")
    page.locator(".confusion .wrong a").first.press("Enter")
    expect(page.get_by_role("heading", name=re.compile("Labelled .*, taken for"))).to_be_visible()


def test_a_page_that_shows_the_same_is_left_as_it_is(browser: Browser, address: str) -> None:
    page, _ = opened(browser)
    page.goto(f"{address}/queue")
    page.wait_for_timeout(6000)
    page.evaluate("document.querySelector('.tiles').dataset.kept = 'yes'")
    page.wait_for_timeout(6000)
    assert page.evaluate("document.querySelector('.tiles').dataset.kept") == "yes"
