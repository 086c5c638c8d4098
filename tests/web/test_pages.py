"""The dashboard and what it shows."""

from __future__ import annotations

from collections.abc import Callable

from flask.testing import FlaskClient
from support.filled_store import LABEL_STUDIO, add_project, add_ranked

from pt4al_backend import __version__
from pt4al_backend.label_studio.releases import TESTED_WITH
from pt4al_backend.store.findings import SUSPECTS
from pt4al_backend.store.store import Store
from pt4al_backend.web.context import context


def test_before_anything_is_connected(client: FlaskClient) -> None:
    page = client.get("/dashboard").get_data(as_text=True)
    assert "No project is connected yet" in page
    assert "http://localhost/" in page
    assert "The worker is not running" in page
    assert "pt4al-backend worker" in page


def test_a_project(client: FlaskClient, store: Store) -> None:
    store.beat(device="cpu", busy_with="project 12: training the pretext task", memory=1_500_000_000)
    project = add_ranked(store)
    store.images_done(
        project.id,
        ready={},
        failed={task: (f"/data/upload/{task}.png", "The file is <broken>.") for task in range(1, 4)},
    )
    store.update(project.id, title="Cats & <b>dogs</b>", stage="pretext", stage_progress=0.25, eta_seconds=240.0)
    page = client.get("/dashboard").get_data(as_text=True)
    assert "Cats &amp; &lt;b&gt;dogs&lt;/b&gt;" in page
    assert '<progress max="1" value="0.25"' in page
    assert "about 4 min left" in page
    assert "Worker on cpu, 1.5 GB of memory: project 12: training the pretext task" in page
    assert "not running" not in page
    page = client.get(f"/dashboard/{project.id}").get_data(as_text=True)
    assert "3 images are excluded" in page and "The file is &lt;broken&gt;." in page


def test_one_row_for_each_project(client: FlaskClient, store: Store) -> None:
    new, measured = add_project(store), add_ranked(store, 13)
    figures = {"labels": 4, "images": 4, "value": 0.844, "low": 0.5, "high": 0.9}
    store.add_measurement(measured.id, model_version="v", round=0, held_out=False, **figures)
    store.save_finding(measured.id, SUSPECTS, {"labels": [1, 2]}, revision=0)
    store.update(measured.id, paused=True)
    page = client.get("/dashboard").get_data(as_text=True)
    first, second = page.split("<tbody>")[1].split("</tr>")[:2]
    assert "not known yet" in first and f'href="/dashboard/{new.id}"' in first
    assert "84 %" in second and "Paused" in second and f'<a href="/dashboard/{measured.id}/labels">2</a>' in second
    assert f'href="{LABEL_STUDIO}/projects/13/data?labeling=1"' in second


def test_releases_are_named(client: FlaskClient) -> None:
    page = client.get("/dashboard").get_data(as_text=True)
    assert f"pt4al-backend {__version__}, tested with Label Studio {TESTED_WITH}" in page


def test_what_is_served_is_said(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    detail = "learning the rotation task, epoch 2 of 15"
    store.update(project.id, ranked_pool=7, encoder="efficientnet_lite0", stage="ready", stage_detail=detail)
    page = client.get(f"/dashboard/{project.id}").get_data(as_text=True)
    for words in ("7 of 10 images so far", "efficientnet_lite0", "<code>balanced</code>", "not learned yet", detail):
        assert words in page
    store.update(project.id, ranked_pool=10, pretext_generation=1)
    page = client.get(f"/dashboard/{project.id}").get_data(as_text=True)
    assert "all 10 images" in page and "not learned yet" not in page


def test_the_link_to_a_project_is_for_the_browser(start: Callable[..., FlaskClient]) -> None:
    client = start(label_studio_link="http://localhost:8080/")
    add_project(context().store)
    add_project(context().store, 13, url="http://other.example")
    page = client.get("/dashboard").get_data(as_text=True)
    assert 'href="http://localhost:8080/projects/12/data"' in page
    assert 'href="http://other.example/projects/13/data"' in page
    client = start()
    assert f'href="{LABEL_STUDIO}/projects/12/data"' in client.get("/dashboard").get_data(as_text=True)


def test_an_error_is_shown(client: FlaskClient, store: Store) -> None:
    store.update(add_project(store).id, stage="error", error="The token was refused: make a new one.")
    assert "The token was refused: make a new one." in client.get("/dashboard").get_data(as_text=True)


def test_nothing_is_loaded_from_elsewhere_or_written_inline(client: FlaskClient, store: Store) -> None:
    add_ranked(store)
    page = client.get("/dashboard").get_data(as_text=True)
    assert "style=" not in page
    assert "<style" not in page
    assert page.count("<script") == page.count("<script src=") == 1
    for asset in ("dashboard.css", "dashboard.js", "icon.svg"):
        assert f"/dashboard/static/{asset}" in page
        with client.get(f"/dashboard/static/{asset}") as answer:
            assert answer.status_code == 200
            assert answer.data
