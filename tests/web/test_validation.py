"""Malformed requests: always a 4xx with a sentence, never a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.filled_store import CONFIG, CREATED, webhook

from pt4al_backend.store.store import Store
from pt4al_backend.web.bodies import MOST_TASKS
from pt4al_backend.web.header_checks import LARGE_BODIES, SMALL_BODY

NAME = f"12.{CREATED}"
SETUP = {"project": NAME, "schema": CONFIG}
PREDICT = {"project": NAME, "tasks": [{"id": 1}], "label_config": CONFIG}
DEEP = "[" * 60_000
HUGE = "9" * 5_000

BROKEN_JSON = [b"", b"{", b"null", b"[]", b'"text"', b"1", b"\xff\xfe\xff", DEEP.encode(), b'{"a": NaN', HUGE.encode()]
WRONG_PROJECTS: list[Any] = [None, True, [], {}, 1.5, -1, "", "x", "1.2.3", "1e3", "٣", "99999999999", 2**40, "1\x00"]

WRONG: list[tuple[str, Any]] = [
    *[(path, {**body, "project": project}) for project in WRONG_PROJECTS for path, body in
      [("/setup", SETUP), ("/predict", PREDICT)]],
    *[("/setup", {**SETUP, "schema": schema}) for schema in [None, "", 1, [], {}, "\x00", "\ud800"]],
    *[("/setup", {**SETUP, key: value}) for key in ("hostname", "access_token") for value in [1, [], {}, "\ud800"]],
    *[("/predict", {**PREDICT, "tasks": tasks}) for tasks in
      [None, {}, "1", 1, [1], [None], [[]], [{}], [{"id": None}], [{"id": "1"}], [{"id": 1.5}], [{"id": True}],
       [{"id": -1}], [{"id": 2**63}], [{"id": 1}, {}]]],
    ("/predict", {**PREDICT, "label_config": 5}),
    ("/predict", {}),
    ("/setup", {}),
    ("/webhook", {}),
    *[("/webhook", {**webhook("START_TRAINING"), "action": action}) for action in [None, "", 1, [], {}, "\ud800"]],
    *[("/webhook", {"action": "START_TRAINING", "project": project}) for project in
      [None, 1, "1", [], {}, {"id": None}, {"id": "x"}, {"id": -1}, {"id": 2**70}]],
    ("/webhook", webhook("START_TRAINING", label_config=[])),
    ("/versions", {}),
    ("/versions", {"project": []}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/setup", SETUP | {"schema": "<View>" + "<Choice/>" * 200_000}),
        ("/predict", PREDICT | {"label_config": "<View>" + "<Choice/>" * 200_000}),
        ("/webhook", webhook("START_TRAINING", label_config="<View>" + "<Choice/>" * 200_000)),
    ],
)
def test_the_size_of_a_label_config_is_limited(client: FlaskClient, path: str, body: dict[str, Any]) -> None:
    answer = client.post(path, json=body)
    assert answer.status == "413 The label config has more than 1,000,000 characters: make it shorter."


@pytest.mark.parametrize("path", ["/setup", "/predict", "/webhook", "/versions", "/train"])
@pytest.mark.parametrize("body", BROKEN_JSON, ids=[repr(body[:10]) for body in BROKEN_JSON])
def test_bodies_that_are_no_json_objects(client: FlaskClient, path: str, body: bytes) -> None:
    answer = client.post(path, data=body, content_type="application/json")
    assert answer.status_code == 400
    assert answer.json["error"].startswith("The body is not")


def test_bodies_with_wrong_fields(client: FlaskClient, store: Store) -> None:
    for path, body in WRONG:
        answer = client.post(path, data=json.dumps(body), content_type="application/json")
        sentence = answer.json["error"]
        assert answer.status_code == 400, (path, body, answer.get_data(as_text=True))
        assert " is missing" in sentence or " are missing" in sentence or " is wrong" in sentence, (path, body)
        assert answer.status == f"400 {sentence}"
    assert store.projects() == []


@pytest.mark.parametrize(
    "project", [{"created_at": 5}, {"created_at": "yesterday"}, {"created_at": None}, {"label_config": None}]
)
def test_optional_fields(client: FlaskClient, store: Store, project: dict[str, Any]) -> None:
    answer = client.post("/webhook", json=webhook("START_TRAINING", **project))
    assert answer.json["result"]["woken"] == 1


@pytest.mark.parametrize("params", [None, [], "x", {"tasks": 1, "project": 2, "self": 3}, {"context": {"result": []}}])
def test_params_of_predict_are_left_alone(client: FlaskClient, params: Any) -> None:
    assert len(client.post("/predict", json={**PREDICT, "params": params}).json["results"]) == 1


@pytest.mark.parametrize("annotations", [None, 1, "x", [None], [1], [{}], [{"was_cancelled": True}]])
def test_odd_annotations_do_no_harm(client: FlaskClient, annotations: Any) -> None:
    body = {**PREDICT, "tasks": [{"id": 1, "annotations": annotations, "project": "?"}]}
    assert len(client.post("/predict", json=body).json["results"]) == 1


@pytest.mark.parametrize("odd", [None, 5, "oops", [], {"image": ["a", "b"]}, [{}], True, "\ud800", 1e308])
def test_odd_tasks_do_no_harm(client: FlaskClient, odd: Any) -> None:
    fields = ("data", "annotations", "predictions", "project", "updated_at", "file_upload")
    body = {**PREDICT, "tasks": [{"id": 1, field: odd} for field in fields]}
    assert len(client.post("/predict", json=body).json["results"]) == len(fields)


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "application/x+json"])
def test_json_is_read(client: FlaskClient, content_type: str) -> None:
    answer = client.post("/predict", data=json.dumps(PREDICT), content_type=content_type)
    assert len(answer.json["results"]) == 1


@pytest.mark.parametrize(
    "content_type", [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"]
)
def test_bodies_not_marked_as_json_are_rejected(client: FlaskClient, content_type: str | None) -> None:
    for path in ("/setup", "/predict", "/webhook", "/versions"):
        answer = client.post(path, data=json.dumps(PREDICT), content_type=content_type)
        assert answer.status == "415 The body is not marked as JSON: send Content-Type: application/json."


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32-be"])
def test_json_is_utf_8(client: FlaskClient, encoding: str) -> None:
    answer = client.post("/predict", data=json.dumps(PREDICT).encode(encoding), content_type="application/json")
    assert answer.status == "400 The body is not JSON."


def test_bodies_of_unknown_length(client: FlaskClient) -> None:
    for path in ("/setup", "/predict", "/webhook", "/health", "/nothing"):
        assert client.post(path, headers={"Transfer-Encoding": "chunked"}).status_code == 411


@pytest.mark.parametrize("path", ["/health", "/versions", "/dashboard", "/train", "/nothing"])
def test_large_bodies_are_for_the_routes_that_need_them(client: FlaskClient, path: str) -> None:
    body = b" " * (SMALL_BODY + 1)
    for method in ("GET", "POST", "DELETE"):
        answer = client.open(path, method=method, data=body, content_type="application/json")
        assert answer.status == "413 The body is larger than 64 kB, the limit of this address: send less."


def test_many_tasks(client: FlaskClient) -> None:
    tasks = [{"id": task} for task in range(MOST_TASKS + 1)]
    answer = client.post("/predict", json={**PREDICT, "tasks": tasks})
    assert answer.status == "413 There are more than 50,000 tasks: send fewer at a time."
    assert len(client.post("/predict", json={**PREDICT, "tasks": tasks[1:]}).json["results"]) == MOST_TASKS


def test_large_bodies_acquire_the_semaphore_and_release_it(client: FlaskClient) -> None:
    body = {**PREDICT, "tasks": [{"id": 1, "data": "x" * SMALL_BODY}]}
    for _ in range(6):
        assert client.post("/predict", json=body).status_code == 200
    for _ in range(4):
        assert LARGE_BODIES.acquire(blocking=False)
    try:
        answer = client.post("/predict", json=body)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert "send this one again" in answer.json["error"]
        assert client.post("/predict", json=PREDICT).status_code == 200
    finally:
        LARGE_BODIES.release(4)


def test_training_requests_of_old_label_studios_are_rejected(client: FlaskClient) -> None:
    answer = client.post("/train", json={"annotations": 5, "project": {}})
    assert answer.status_code == 410
    assert "update" in answer.json["error"]


def test_wrong_methods(client: FlaskClient) -> None:
    for path in ("/setup", "/predict", "/webhook"):
        assert client.get(path).status_code == 405
