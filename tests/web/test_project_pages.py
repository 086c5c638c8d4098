"""The pages of a project, and what people can do there."""

from __future__ import annotations

import re

import numpy as np
import pytest
from flask.testing import FlaskClient
from support.filled_pages import fill_pages, quality_of_two_classes, suspect
from support.filled_store import add_ranked, reread, state
from support.forms import post

from pt4al_backend.store.findings import DUPLICATES, QUALITY, SUSPECTS
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

HOSTILE = "<script>alert(1)</script>\"'&"
NO_TASKS = np.empty(0, np.int64)
PAGES = ("", "/queue", "/labels", "/settings")


def with_reasons(store: Store, project: Project) -> None:
    reasons = [{"task": task, "held_out": task == 2, "why": [f"because {HOSTILE}"]} for task in (3, 2, 1)]
    arrays, _ = store.ranking(project.id) or (None, ())
    assert arrays is not None
    store.save_ranking(project.id, arrays, questions=project.questions, reasons=reasons)


def test_every_page_of_a_new_project_says_what_to_do(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    for page, words in zip(
        PAGES, ("Label some images", "The queue is empty", "Nothing has been checked", "Save"), strict=True
    ):
        answer = client.get(f"/dashboard/{project.id}{page}")
        assert answer.status_code == 200 and words in answer.get_data(as_text=True)
        assert 'href="http://label-studio.example/projects/12/data?labeling=1"' in answer.get_data(as_text=True)


def test_what_people_wrote_stays_inert_on_every_page(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    with_reasons(store, project)
    store.update(project.id, title=HOSTILE, error=HOSTILE, stage_detail=HOSTILE, notes=[HOSTILE])
    body = {"labels": [suspect() | {"instead": HOSTILE}], "checked": 40}
    store.apply(project.id, [state(3, "cat", version="2")])
    store.save_finding(project.id, SUSPECTS, body, revision=0)
    for page in PAGES:
        answer = client.get(f"/dashboard/{project.id}{page}?said={HOSTILE}&label={HOSTILE}&model={HOSTILE}")
        assert "<script>alert" not in answer.get_data(as_text=True)
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_the_queue_in_its_order_with_the_reasons(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    with_reasons(store, project)
    store.apply(project.id, [state(3, "cat", version="2")])
    answer = client.get(f"/api/projects/{project.id}/queue").get_json()
    assert [image["task"] for image in answer["images"]] == [2, 1]
    assert answer["waiting"] == 2
    page = client.get(f"/dashboard/{project.id}/queue").get_data(as_text=True)
    assert page.index("Task 2") < page.index("Task 1") and page.count("measures the model") == 1


def test_labels_to_check_until_they_are_changed_or_called_right(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    store.apply(project.id, [state(3, "cat", version="2"), state(4, "cat", version="2"), state(5, "dog", version="2")])
    body = {"labels": [suspect(3), suspect(4), suspect(5)], "checked": 40}  # 5 was changed since
    store.save_finding(project.id, SUSPECTS, body, revision=0)

    def listed() -> list[int]:
        return [each["task"] for each in client.get(f"/api/projects/{project.id}/labels").get_json()["labels"]]

    assert listed() == [3, 4]
    answer = post(client, project, "confirm", task=3, question="kind", answer='"cat"', page="labels")
    assert (answer.status_code, listed()) == (303, [4])
    assert answer.location.startswith(f"/dashboard/{project.id}/labels?said=Task+3")
    store.apply(project.id, [state(4, "dog", version="3")])
    assert listed() == []


def test_a_cell_of_the_confusion_matrix_opens_its_images(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    arrays = {"task": np.array([1, 2, 3]), "truth": np.array([0, 0, 1]), "guess": np.array([1, 0, 1])}
    store.save_finding(project.id, QUALITY, {"questions": []}, revision=0, arrays=arrays)
    cell = client.get(f"/api/projects/{project.id}/labels?label=cat&model=dog").get_json()["cell"]
    assert cell == {"label": "cat", "model": "dog", "tasks": [1], "of": 1}
    nothing = client.get(f"/api/projects/{project.id}/labels?label=cow&model=dog").get_json()["cell"]
    assert nothing["tasks"] == []


@pytest.mark.parametrize("held_out", [False, True])
def test_how_good_it_is(client: FlaskClient, store: Store, held_out: bool) -> None:
    project = add_ranked(store)
    store.save_finding(project.id, QUALITY, quality_of_two_classes(held_out=held_out), revision=0)
    page = client.get(f"/dashboard/{project.id}").get_data(as_text=True)
    assert ("Measured on 40 random images" if held_out else "Cross-validated on 40 labels") in page
    (words,) = re.findall(r"<strong[^>]*>(.*?)</strong>", page)
    assert re.fullmatch(r"\d+\.\d % \(\d+ to \d+\)", words)
    assert f"/dashboard/{project.id}/labels?label=cat&amp;model=dog" in page
    assert "balanced accuracy" in page and "off by" in page
    store.update(project.id, questions=[{"name": "kind", "kind": "single", "classes": ["cat", "dog", "cow"]}])
    assert "Nothing is known yet" in client.get(f"/dashboard/{project.id}").get_data(as_text=True)  # until measured


def test_how_much_more(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    ends = {"estimate": 0.84, "low": 0.81, "high": 0.87}
    forecast = {"labels": 60, "pool": 2000, "with_all": ends, "target": 0.9, "levelled_off": True}
    for needed, words in (
        (None, "90 % is probably out of reach: about 84 % (81 to 87) with all 2,000 images labelled."),
        ({"estimate": 200, "low": 170, "high": 250}, "90 % needs about 140 more labels (110 to 190)."),
        ({"estimate": 200, "low": 170, "high": None}, "90 % needs about 140 more labels (at least 110)."),
        ({"estimate": 60, "low": 50, "high": 70}, "90 % is probably reached."),
    ):
        body = quality_of_two_classes() | {"forecast": forecast | {"needed": needed}}
        store.save_finding(project.id, QUALITY, body, revision=0)
        page = client.get(f"/dashboard/{project.id}").get_data(as_text=True)
        assert words in page and "you may stop here" in page


def test_programs_send_json(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    assert client.post(f"/api/projects/{project.id}/pause", json={}).get_json()["done"].startswith("Paused.")
    refused = client.post(f"/api/projects/{project.id}/settings", json={"cycles": 0})
    assert refused.status_code == 400 and "at least 1" in refused.get_json()["error"]
    kept = {"cycles": 5, "strategy": "margin"}
    client.post(f"/api/projects/{project.id}/settings", json=kept)
    for broken in (b'{"cycles": 6', b"", b"[]", b'{"cycels": 6}', b"[" * 60_000):
        refused = client.post(f"/api/projects/{project.id}/settings", data=broken, content_type="application/json")
        assert refused.status_code == 400 and reread(store, project).own_settings == kept
    client.post(f"/api/projects/{project.id}/settings", json={"cycles": None})
    assert reread(store, project).own_settings == {}
    as_form = client.post(f"/api/projects/{project.id}/resume", data={"a": "b"})
    assert as_form.status_code == 415  # which another site's page could send


@pytest.mark.parametrize("path", ["/dashboard/99", "/api/projects/99/queue", "/dashboard/99/thumbnails/1"])
def test_what_is_not_there(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "There is no project 99 here" in answer.get_data(as_text=True)
    assert answer.mimetype == ("text/html" if path.startswith("/dashboard") else "application/json")


def test_a_report_to_keep_is_complete_in_one_file(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    store.update(project.id, title=HOSTILE)
    columns = {"model_version": "v", "round": 0, "labels": 10, "held_out": False, "images": 20}
    store.add_measurement(project.id, **columns, value=0.5, low=0.4, high=0.6)
    answer = client.get(f"/dashboard/{project.id}/report.html")
    page = answer.get_data(as_text=True)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="project-12.html"'
    assert "<svg" in page and "<script>alert" not in page and "<?xml" not in page
    assert not re.findall(r'(?:src|href)="(?!#)', page.partition("<svg")[0])


def test_groups_of_near_duplicates(client: FlaskClient, store: Store) -> None:
    empty = add_ranked(store)
    assert "They are sought once" in client.get(f"/dashboard/{empty.id}/images").get_data(as_text=True)
    assert client.get(f"/api/projects/{empty.id}/duplicates").status_code == 404
    store.save_finding(empty.id, DUPLICATES, {}, revision=0, arrays={"task": NO_TASKS, "middle": NO_TASKS})
    assert "None were found" in client.get(f"/dashboard/{empty.id}/images").get_data(as_text=True)


def test_groups_of_near_duplicates_are_shown(client: FlaskClient, store: Store) -> None:
    project = fill_pages(store)
    page = " ".join(client.get(f"/dashboard/{project.id}/images").get_data(as_text=True).split())
    assert "5 images are in 2 groups of near-duplicates. One of each is asked for; 3 wait until" in page
    assert "3 images, 1 labelled" in page and f"/dashboard/{project.id}/thumbnails/13" in page
    assert client.get(f"/api/projects/{project.id}/duplicates").get_json()["groups"] == 2
    store.update(project.id, own_settings={"collapse_duplicates": False})
    assert "All of them are asked for" in client.get(f"/dashboard/{project.id}/images").get_data(as_text=True)
