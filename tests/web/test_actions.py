"""What people can do with a project."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from support.filled_store import add_ranked, reread
from support.forms import post

from pt4al_backend.store.store import Store


def test_pause_resume_train_and_retry(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    assert post(client, project, "pause").status_code == 303
    assert reread(store, project).paused and reread(store, project).wake_at > project.wake_at
    assert "Resume" in client.get(f"/dashboard/{project.id}").get_data(as_text=True)
    assert client.get("/api/status").get_json()["projects"][0]["paused"] is True
    post(client, project, "resume")
    assert not reread(store, project).paused
    post(client, project, "train")
    assert reread(store, project).train_requested_at > 0
    store.images_done(project.id, ready={}, failed={1: ("/data/upload/1.png", "It is broken.")})
    post(client, project, "retry")
    assert store.totals(project.id).unreadable == 0


def test_settings_are_checked_and_kept(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    answer = post(client, project, "settings", cycles="5", strategy="margin", query_size="", page="settings")
    assert answer.status_code == 303
    assert reread(store, project).own_settings == {"cycles": 5, "strategy": "margin"}
    page = client.get(f"/dashboard/{project.id}/settings").get_data(as_text=True)
    assert "<option selected>margin</option>" in page and 'value="5"' in page
    assert client.get("/api/status").get_json()["projects"][0]["strategy"] == "margin"
    refused = post(client, project, "settings", cycles="0", validation="much", page="settings")
    assert refused.status_code == 400
    page = refused.get_data(as_text=True)
    assert "Nothing was changed. cycles: it has to be at least 1. validation: it has to be a number." in page
    assert reread(store, project).own_settings == {"cycles": 5, "strategy": "margin"}


def test_starting_over_asks_and_forgets(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    refused = post(client, project, "start_over", confirm="yes")
    assert refused.status_code == 400 and "type the project&#39;s number, 12" in refused.get_data(as_text=True)
    assert post(client, project, "start_over", confirm="12").status_code == 303
    (again,) = store.projects()
    assert (again.number, again.created, again.label_config) == (12, project.created, project.label_config)
    assert again.id != project.id and store.totals(again.id).tasks == 0


@pytest.mark.parametrize("fields", [{}, {"task": "x", "question": "kind", "answer": "1"}, {"task": "1"}])
def test_a_label_that_is_not_named_cannot_be_called_right(
    client: FlaskClient, store: Store, fields: dict[str, str]
) -> None:
    project = add_ranked(store)
    answer = post(client, project, "confirm", page="labels", **fields)
    assert answer.status_code == 400 and "send task, question and answer" in answer.get_data(as_text=True)
