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
from support.filled_store import CONFIG, CREATED, add_project, add_ranked, webhook

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


@pytest.mark.alone
def test_a_thousand_known_tasks_in_a_second(client: FlaskClient, store: Store) -> None:
    add_ranked(store, tasks=1000)
    started = time.perf_counter()
    predictions = predict(client, f"12.{CREATED}", *range(1, 1001))
    assert time.perf_counter() - started < 1
    assert [prediction["score"] for prediction in predictions] == [task / 1000 for task in range(1, 1001)]


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


@pytest.mark.parametrize(("method", "path", "code"), [("GET", "/nothing-here", 404), ("GET", "/predict", 405)])
def test_what_flask_refuses_is_json(client: FlaskClient, method: str, path: str, code: int) -> None:
    answer = client.open(path, method=method)
    assert (answer.status_code, list(answer.get_json())) == (code, ["error"])
    assert code != 405 or "POST" in answer.headers["Allow"]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_has_the_security_headers(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"  # else browsers name no origin with our forms


@pytest.mark.parametrize("path", ["/setup", "/webhook", "/predict", "/api/status"])
def test_internal_errors_give_a_sentence_without_secrets(
    client: FlaskClient, store: Store, path: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    bodies = {"/setup": SETUP, "/webhook": webhook("START_TRAINING"), "/predict": {"project": "12.1", "tasks": []}}
    with closing(sqlite3.connect(store.data_dir / "pt4al.db")) as database:
        database.execute("DROP TABLE project")
    with caplog.at_level(logging.DEBUG):
        answer = client.post(path, json=bodies[path]) if path in bodies else client.get(path)
    assert answer.status_code == 503
    assert "does not respond: try again, and see its log." in answer.get_data(as_text=True)
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
