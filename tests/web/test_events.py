"""Webhooks, sent over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.filled_store import CREATED, LABEL_STUDIO, add_project, reread, webhook

from pt4al_backend.store.store import Store
from pt4al_backend.web import bodies, events
from pt4al_backend.web.context import context


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


def test_webhooks_distinguish_projects_of_two_label_studios(client: FlaskClient, store: Store) -> None:
    project, twin = add_project(store), add_project(store, created="1800000000")
    client.post("/webhook", json=webhook("ANNOTATION_CREATED"))
    assert reread(store, project).wake_at > project.wake_at
    assert reread(store, twin).wake_at == twin.wake_at


def test_a_webhook_before_setup_registers_the_project(client: FlaskClient, store: Store) -> None:
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


def test_a_webhook_is_validated_once(client: FlaskClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    validated: list[object] = []

    class Counted(bodies.Event):
        def model_post_init(self, _context: object) -> None:
            validated.append(self)

    for module in ("events", "validation"):
        monkeypatch.setattr(f"pt4al_backend.web.{module}.Event", Counted)
    project = add_project(store)
    assert client.post("/webhook", json=webhook("ANNOTATION_CREATED")).json["result"]["woken"] == 1
    assert reread(store, project).wake_at > project.wake_at
    assert len(validated) == 1


def test_a_request_with_the_key_of_a_validated_event_is_still_validated(client: FlaskClient, store: Store) -> None:
    body = {**webhook("START_TRAINING"), events.VALIDATED: {"project": {"id": 99}}}
    assert client.post("/webhook", json=body).json["result"]["project"] == 12
    assert events.validated("START_TRAINING", {events.VALIDATED: {"project": {"id": 99}}}) is None
