"""`/setup` through the front door."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.filled_store import CONFIG, CREATED, LABEL_STUDIO
from support.odd_servers import Reply, answering

from pt4al_backend.store.store import Store
from pt4al_backend.web import validation
from pt4al_backend.web.context import context
from pt4al_backend.web.header_checks import SMALL_BODY

TOKEN = "3f1d5a-secret-token"
SETUP = {"project": f"12.{CREATED}", "schema": CONFIG, "hostname": "http://ls:8080", "access_token": TOKEN}


def test_setup_registers_the_project_and_returns_the_published_version(client: FlaskClient, store: Store) -> None:
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


def test_setup_says_what_is_not_learned(client: FlaskClient) -> None:
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
def test_setup_rejects_with_a_reason(
    start: Callable[..., FlaskClient], settings: dict[str, Any], body: dict[str, Any], says: str
) -> None:
    answer = start(**settings).post("/setup", json={**SETUP, **body})
    assert answer.status.startswith("422 ")
    assert says in answer.status
    assert answer.json["error"] == answer.status[4:]
    assert context().store.projects() == []


def test_while_a_large_setup_waits_for_its_label_studio_other_bodies_are_read(
    start: Callable[..., FlaskClient],
) -> None:
    asked, answer = threading.Event(), threading.Event()

    def whoami(_asked: object) -> Reply:
        asked.set()
        answer.wait(30)
        return Reply.json({"email": "x"})

    with answering(whoami) as server:
        client = start(label_studio_url=server.url)
        large = {**SETUP, "extra_params": "x" * SMALL_BODY}
        waiting = threading.Thread(target=lambda: client.application.test_client().post("/setup", json=large))
        waiting.start()
        assert asked.wait(30)
        assert not validation._parsing.locked()
        answer.set()
        waiting.join()
