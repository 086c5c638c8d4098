"""The description of the routes is true: it names all of them, and what they take and answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from openapi_spec_validator import validate
from support.conforming import described_at, flaws_of, flaws_of_json
from support.filled_pages import fill_pages
from support.filled_store import CREATED, add_ranked, webhook
from support.forms import post
from support.openapi_file import FILE, openapi_text
from test_security import LOCKED, basic
from test_validation import PREDICT, SETUP, WRONG

from pt4al_backend.store.store import Store
from pt4al_backend.web.actions import ACTIONS
from pt4al_backend.web.openapi import document

BODIES: dict[str, dict[str, Any]] = {
    "confirm": {"task": 3, "question": "kind", "answer": '"cat"'},
    "settings": {"query_size": 20.0, "target": 90, "preannotate": False, "encoder": None, "strategy": "margin"},
    "start_over": {"confirm": 12},
}
"""By the names of actions; the others need none."""
TAKEN: list[tuple[str, Any]] = [
    ("/setup", SETUP | {"hostname": None, "access_token": "", "extra_params": {}}),
    ("/predict", PREDICT | {"params": {"context": None}}),
    ("/predict", {"project": 12.0, "tasks": [{"id": 2.0}]}),
    ("/webhook", webhook("START_TRAINING")),
    ("/webhook", {"action": "ANNOTATION_CREATED", "project": {"id": 12, "created_at": None, "label_config": None}}),
    ("/webhook", {"action": "LABEL_LINK_CREATED", "project": 5}),
    ("/versions", {"project": f"12.{CREATED}"}),
]


ONLY_IN_SDK_1 = {("get", "/is_training"), ("post", "/train")}


def schema_of(path: str) -> dict[str, Any]:
    """Of the JSON that is sent to an address."""
    return dict(described_at(path)["post"]["requestBody"]["content"]["application/json"]["schema"])


def described() -> set[tuple[str, str]]:
    return {
        (method, path) for path, entry in document()["paths"].items() for method in entry if method in ("get", "post")
    }


def test_the_file_is_what_the_code_says() -> None:
    assert FILE.read_text() == openapi_text(), "run: .venv/bin/python -P tests/support/openapi_file.py"


def test_the_file_is_openapi() -> None:
    validate(json.loads(FILE.read_text()))


def test_every_route_is_described_and_no_other(client: FlaskClient) -> None:
    routes = {
        (method.lower(), re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in client.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not rule.endpoint.endswith("static")
    }
    assert routes <= described() and described() - routes <= ONLY_IN_SDK_1


def test_it_is_served_behind_the_password(start: Callable[..., FlaskClient]) -> None:
    client = start(**LOCKED)
    assert client.get("/api/openapi.json").status_code == 401
    assert client.get("/api/openapi.json", headers=basic("jürgen:pä:ss")).get_json() == json.loads(FILE.read_text())


def test_every_address_answers_as_it_is_described(client: FlaskClient, store: Store) -> None:
    """The client compares the answers with the description."""
    project = fill_pages(store)
    values = {"task": 3, "format": "svg", "name": "labels.csv"}
    refused = set()
    for method, path in sorted(described(), key=lambda each: (each[1].endswith("/start_over"), each[1])):
        address, action = path.format(project_id=project.id, **values), path.rpartition("/")[2]
        if method == "get":
            answer = client.get(address)
        elif path.startswith("/dashboard"):
            answer = post(
                client, project, action, **({"cycles": "5"} if action == "settings" else BODIES.get(action, {}))
            )
        else:
            body = next((body for taken, body in TAKEN if taken == path), BODIES.get(action, {}))
            answer = client.post(address, json=body)
        if answer.status_code not in (200, 201, 303):
            refused.add((answer.status_code, path))
        (project,) = store.projects()
    assert refused == {(410, "/train")}


def test_a_new_project_answers_as_it_is_described(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    found = {path: client.get(f"/api/projects/{project.id}{path}").status_code for path in ("", "/queue", "/labels")}
    assert set(found.values()) == {200}
    assert client.get("/api/status").status_code == 200


@pytest.mark.parametrize(("path", "body"), TAKEN)
def test_what_is_taken_is_described(client: FlaskClient, path: str, body: Any) -> None:
    assert flaws_of_json(schema_of(path), body, closed=False) == []
    assert client.post(path, json=body).status_code in (200, 201)


WRONG_OF_ACTIONS: dict[str, list[Any]] = {
    "confirm": [{}, *({**BODIES["confirm"], "task": task} for task in (-1, 2**63, 1.5, "x", None, True))],
    "settings": [{"cycles": 0}, {"cycles": "5"}, {"query_size": 10**30}, {"encoder": ["a"]}, {"port": 80},
                 {"target": 101}, {"preannotate": 1}, {"strategy": "best"}, {"validation": [0.1]}],
    "start_over": [{}, {"confirm": "12"}, {"confirm": None}],
}  # fmt: skip


@pytest.mark.parametrize("action", ACTIONS)
def test_what_actions_take_is_described(client: FlaskClient, store: Store, action: str) -> None:
    path, body = f"/api/projects/{fill_pages(store).id}/{action}", BODIES.get(action, {})
    for wrong in ([], "text", None, *WRONG_OF_ACTIONS.get(action, ())):
        assert flaws_of_json(schema_of(path), wrong, closed=False), wrong
        answer = client.post(path, data=json.dumps(wrong), content_type="application/json")
        assert answer.status_code == 400 and answer.get_json()["error"], wrong
    assert flaws_of_json(schema_of(path), body, closed=False) == []
    assert client.post(path, json=body).status_code == 200


def test_what_is_wrong_is_described_as_wrong() -> None:
    for path, body in WRONG:
        if "\\ud800" not in json.dumps(body):  # no JSON schema says which texts are no Unicode
            assert flaws_of_json(schema_of(path), body, closed=False), (path, body)


def test_strange_numbers_are_not_found(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    for number in (0, 99, 2**31, 2**63, 10**30):
        for path in (f"/api/projects/{number}", f"/api/projects/{number}/map", f"/dashboard/{number}"):
            assert client.get(path).status_code == 404
        assert client.post(f"/api/projects/{number}/pause", json={}).status_code == 404
        assert client.get(f"/dashboard/{project.id}/thumbnails/{number}").status_code == 404


def test_an_answer_that_is_not_described_is_found(client: FlaskClient, store: Store) -> None:
    answer = client.get("/api/status")
    status = {"$ref": "#/components/schemas/Status"}
    assert flaws_of(answer) == flaws_of_json(status, answer.get_json()) == []
    assert len(flaws_of_json(status, answer.get_json() | {"more": 1, "disk": {"error": None}})) == 2
    answer.status_code = 418
    assert "418" in flaws_of(answer)[0]
    answer.status_code, answer.mimetype = 200, "text/html"
    assert flaws_of(answer) == ["text/html is not described"]
