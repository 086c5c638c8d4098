"""The SDK's routes through the front door, in the order Label Studio uses them."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.filled_store import CONFIG, CREATED, LABEL_STUDIO, add_project, add_ranked, reread, webhook

from pt4al_backend.sampling.queue import LAST_PLACE
from pt4al_backend.store.store import Store
from pt4al_backend.web.context import context

TOKEN = "3f1d5a-secret-token"
SETUP = {"project": f"12.{CREATED}", "schema": CONFIG, "hostname": "http://ls:8080", "access_token": TOKEN}
PAGES = ("/", "/health", "/versions", "/metrics", "/api/status", "/dashboard", "/nothing-here")


def predict(client: FlaskClient, project: str, *tasks: int) -> list[dict[str, Any]]:
    body = {"project": project, "tasks": [{"id": task} for task in tasks], "label_config": CONFIG}
    answer = client.post("/predict", json={**body, "params": {"login": None, "password": None, "context": None}})
    assert answer.status_code == 200, answer.get_data(as_text=True)
    return answer.json["results"]


def test_health(client: FlaskClient) -> None:
    assert client.get("/health").json["status"] == "UP"


def test_setup_takes_the_project_in_and_answers_what_is_published(client: FlaskClient, store: Store) -> None:
    assert client.post("/setup", json={**SETUP, "extra_params": {"any": 1}}).json == {
        "model_version": "pt4al-preparing"
    }
    (project,) = store.projects()
    assert (project.label_studio_url, project.number, project.created) == (LABEL_STUDIO, 12, CREATED)
    assert project.access_token == "", "a token of /setup is not for LABEL_STUDIO_URL"
    assert project.wake_at > 0
    store.update(project.id, model_version="pt4al-r1-n20-abc")
    assert client.post("/setup", json=SETUP).json == {"model_version": "pt4al-r1-n20-abc"}
    assert len(store.projects()) == 1


def test_setup_says_what_is_not_learnt(client: FlaskClient) -> None:
    boxes = '<RectangleLabels name="box" toName="image"><Label value="a"/></RectangleLabels></View>'
    answer = client.post("/setup", json={**SETUP, "schema": SETUP["schema"].replace("</View>", boxes)})
    assert answer.status_code == 200
    [note] = answer.json["notes"]
    assert "RectangleLabels" in note and "box" in note


def test_setup_keeps_hostname_and_token_together(start: Callable[..., FlaskClient]) -> None:
    client = start(label_studio_url="", label_studio_api_key="")
    assert client.post("/setup", json=SETUP).status_code == 200
    (project,) = context().store.projects()
    assert (project.label_studio_url, project.access_token) == ("http://ls:8080", TOKEN)


@pytest.mark.parametrize(
    ("settings", "body", "says"),
    [
        ({"label_studio_url": "", "label_studio_api_key": ""}, {"access_token": ""}, "set LABEL_STUDIO_URL and"),
        ({"label_studio_url": "", "label_studio_api_key": ""}, {"hostname": None}, "set LABEL_STUDIO_URL and"),
        ({"label_studio_url": "", "label_studio_api_key": ""}, {"hostname": "file:///etc"}, "not an http(s) address"),
        ({"label_studio_url": ""}, {}, "LABEL_STUDIO_API_KEY is set without LABEL_STUDIO_URL"),
        ({"label_studio_api_key": ""}, {}, "LABEL_STUDIO_URL is set without LABEL_STUDIO_API_KEY"),
        ({}, {"schema": "<View><Text name='t' value='$t'/></View>"}, "PT4AL needs an Image tag"),
    ],
)
def test_setup_refuses_with_a_reason(
    start: Callable[..., FlaskClient], settings: dict[str, Any], body: dict[str, Any], says: str
) -> None:
    answer = start(**settings).post("/setup", json={**SETUP, **body})
    assert answer.status.startswith("422 ")
    assert says in answer.status
    assert answer.json["error"] == answer.status[4:]
    assert context().store.projects() == []


def test_predict_answers_one_per_task_from_the_ranking(client: FlaskClient, store: Store) -> None:
    add_ranked(store)
    first, second, unknown = predict(client, f"12.{CREATED}", 1, 2, 999)
    assert first == {"result": [], "score": 0.001, "model_version": "pt4al-r0-n0-p12"}
    assert second["score"] == 0.002
    region = second["result"][0]
    assert (region["from_name"], region["to_name"], region["value"]) == ("kind", "image", {"choices": ["dog"]})
    assert region["score"] == 0.75
    assert unknown == {"result": [], "score": LAST_PLACE, "model_version": "pt4al-r0-n0-p12"}


def test_predict_before_setup_and_without_tasks(client: FlaskClient) -> None:
    assert predict(client, "77.5", 3, 4) == [
        {"result": [], "score": LAST_PLACE, "model_version": "pt4al-preparing"} for _ in range(2)
    ]
    assert predict(client, "77.5") == []


def test_predict_without_preannotation(start: Callable[..., FlaskClient]) -> None:
    client = start(preannotate=False)
    add_ranked(context().store)
    assert predict(client, f"12.{CREATED}", 2) == [{"result": [], "score": 0.002, "model_version": "pt4al-r0-n0-p12"}]


def test_predict_keeps_the_order_when_the_config_no_longer_fits(client: FlaskClient, store: Store) -> None:
    add_ranked(store)
    for config in ("<View/>", CONFIG.replace("dog", "horse")):
        body = {"project": f"12.{CREATED}", "tasks": [{"id": 2}], "label_config": config}
        (prediction,) = client.post("/predict", json=body).json["results"]
        assert (prediction["result"], prediction["score"]) == ([], 0.002)


def test_two_projects_at_once(client: FlaskClient, store: Store) -> None:
    add_ranked(store, 12)
    add_ranked(store, 13, tasks=3)
    add_ranked(store, 12, tasks=2, created="1800000000", url="http://other.example")
    assert [p["model_version"] for p in predict(client, f"12.{CREATED}", 1)] == ["pt4al-r0-n0-p12"]
    assert [p["score"] for p in predict(client, f"13.{CREATED}", 3, 4)] == [0.003, LAST_PLACE]
    assert [p["score"] for p in predict(client, "12.1800000000", 2, 3)] == [0.002, LAST_PLACE]
    assert client.post("/setup", json={**SETUP, "project": f"13.{CREATED}"}).json["model_version"] == "pt4al-r0-n0-p13"


def test_a_thousand_known_tasks_in_a_second(client: FlaskClient, store: Store) -> None:
    add_ranked(store, tasks=1000)
    started = time.perf_counter()
    predictions = predict(client, f"12.{CREATED}", *range(1, 1001))
    assert time.perf_counter() - started < 1
    assert [prediction["score"] for prediction in predictions] == [task / 1000 for task in range(1, 1001)]


@pytest.mark.parametrize(
    ("event", "wakes"),
    [
        ("ANNOTATION_CREATED", True),
        ("ANNOTATION_UPDATED", True),
        ("ANNOTATION_DELETED", True),
        ("ANNOTATIONS_CREATED", True),
        ("ANNOTATIONS_DELETED", True),
        ("TASKS_CREATED", True),
        ("TASKS_DELETED", True),
        ("PROJECT_UPDATED", True),
        ("START_TRAINING", True),
        ("LABEL_LINK_CREATED", False),
        ("SOMETHING_NEW", False),
    ],
)
def test_webhooks_wake_the_worker(client: FlaskClient, store: Store, event: str, wakes: bool) -> None:
    project, other = add_project(store, 12), add_project(store, 13)
    answer = client.post("/webhook", json=webhook(event))
    assert answer.status_code in (200, 201)
    now = reread(store, project)
    assert (now.wake_at > project.wake_at) is wakes
    assert (now.train_requested_at > 0) is (event == "START_TRAINING")
    assert reread(store, other).wake_at == other.wake_at


def test_webhooks_tell_projects_of_two_label_studios_apart(client: FlaskClient, store: Store) -> None:
    project, twin = add_project(store), add_project(store, created="1800000000")
    client.post("/webhook", json=webhook("ANNOTATION_CREATED"))
    assert reread(store, project).wake_at > project.wake_at
    assert reread(store, twin).wake_at == twin.wake_at


def test_a_webhook_before_setup_takes_the_project_in(client: FlaskClient, store: Store) -> None:
    answer = client.post("/webhook", json=webhook("START_TRAINING"))
    assert answer.json["result"] == {"event": "START_TRAINING", "project": 12, "woken": 1}
    (project,) = store.projects()
    assert (project.label_studio_url, project.number, project.created) == (LABEL_STUDIO, 12, CREATED)
    assert project.train_requested_at > 0


@pytest.mark.parametrize(
    ("settings", "project", "says"),
    [
        ({"label_studio_url": "", "label_studio_api_key": ""}, {}, "not connected yet"),
        ({}, {"label_config": "<View/>"}, "PT4AL needs an Image"),
    ],
)
def test_a_webhook_that_cannot_be_used_is_ignored_with_a_sentence(
    start: Callable[..., FlaskClient], settings: dict[str, Any], project: dict[str, Any], says: str
) -> None:
    answer = start(**settings).post("/webhook", json=webhook("ANNOTATION_CREATED", **project))
    assert answer.status_code == 201
    assert says in answer.json["result"]["ignored"]
    assert context().store.projects() == []


def test_versions(client: FlaskClient, store: Store) -> None:
    assert client.get("/versions").json == {"versions": []}
    add_ranked(store, 12)
    add_ranked(store, 13)
    add_project(store, 14)
    assert client.get("/versions").json == {"versions": ["pt4al-r0-n0-p12", "pt4al-r0-n0-p13"]}
    assert client.get(f"/versions?project=13.{CREATED}").json == {"versions": ["pt4al-r0-n0-p13"]}
    assert client.post("/versions", json={"project": f"12.{CREATED}"}).json == {"versions": ["pt4al-r0-n0-p12"]}
    assert client.post("/versions", json={"project": f"14.{CREATED}"}).json == {"versions": []}
    assert client.get("/versions?project=x").status_code == 400


@pytest.mark.parametrize("path", PAGES)
def test_every_page_carries_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/setup", "/webhook", "/predict", "/api/status"])
def test_inner_errors_are_a_sentence_and_keep_secrets(
    client: FlaskClient, store: Store, path: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    bodies = {"/setup": SETUP, "/webhook": webhook("START_TRAINING"), "/predict": {"project": "12.1", "tasks": []}}
    with closing(sqlite3.connect(store.data_dir / "pt4al.db")) as database:
        database.execute("DROP TABLE project")
    with caplog.at_level(logging.DEBUG):
        answer = client.post(path, json=bodies[path]) if path in bodies else client.get(path)
    assert answer.status_code == 503
    assert "does not answer: try again, and look into its log." in answer.get_data(as_text=True)
    assert "Traceback" not in answer.get_data(as_text=True)
    assert "no such table" in caplog.text
    captured = capfd.readouterr()
    assert TOKEN not in caplog.text + captured.out + captured.err


def test_tokens_are_not_logged(
    start: Callable[..., FlaskClient], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    client = start(label_studio_url="", label_studio_api_key="")
    with caplog.at_level(logging.DEBUG):
        client.post("/setup", json=SETUP, headers={"Authorization": f"Basic {TOKEN}"})
        client.post("/predict", json={"project": "1.1", "tasks": [], "params": {"password": TOKEN}})
        client.post("/setup", data=f'{{"access_token": "{TOKEN}"')
    captured = capfd.readouterr()
    assert TOKEN not in caplog.text + captured.out + captured.err
