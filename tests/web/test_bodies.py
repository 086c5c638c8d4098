"""Bodies as typed models. For the sentences of refusals see `test_validation.py`."""

from __future__ import annotations

from typing import Any

import pytest
from support.filled_store import CONFIG, CREATED, CREATED_AT

from pt4al_backend.web.bodies import MOST_TASKS, Event, Predict, Setup, Webhook
from pt4al_backend.web.projects import ProjectName
from pt4al_backend.web.refusals import RefusedError


def test_setup() -> None:
    asked = Setup.of({"project": "12.5", "schema": CONFIG, "hostname": None, "extra_params": {"any": 1}})
    assert (asked.project, asked.label_config) == (ProjectName(12, "5"), CONFIG)
    assert (asked.hostname, asked.access_token) == ("", "")


def test_most_fields_of_tasks_are_dropped() -> None:
    annotations = [{"was_cancelled": 1, "result": ["a mask"]}, {"id": 5}, None]
    tasks = [{"id": 1, "data": {"image": "x"}}, {"id": 2**63 - 1, "project": "?", "annotations": annotations}]
    assert Predict.of({"project": "12", "tasks": tasks}).tasks == [
        {"id": 1},
        {"id": 2**63 - 1, "project": "?", "annotations": [{"was_cancelled": True}, {"was_cancelled": False}]},
    ]


@pytest.mark.parametrize(
    ("created_at", "created"),
    [(CREATED_AT, CREATED), ("2023-11-14T22:13:20+00:00", CREATED), ("soon", ""), (None, ""), (5, "")],
)
def test_the_project_of_an_event(created_at: Any, created: str) -> None:
    project = {"id": 12, "created_at": created_at, "label_config": None, "title": "Pets"}
    event = Event.of({"action": "START_TRAINING", "project": project})
    assert event.project.name == ProjectName(12, created)
    assert event.project.label_config == ""


def test_an_ignored_event_needs_no_project() -> None:
    assert Webhook.of({"action": "LABEL_LINK_CREATED", "project": 5}).action == "LABEL_LINK_CREATED"


@pytest.mark.parametrize(
    ("body", "code", "sentence"),
    [
        ({"project": "x", "tasks": 5}, 400, "The project is missing"),  # of several the first
        ({"project": "1", "tasks": [{"id": 1}, {"id": "x"}]}, 400, "The tasks are missing or wrong"),
        ({"project": "1", "tasks": ({"id": 1},)}, 400, "The tasks are missing or wrong"),
        ({"project": "1", "tasks": [{"id": 1}] * (MOST_TASKS + 1)}, 413, "There are more than 50,000 tasks"),
        ({"project": "1", "tasks": [], "label_config": "a\x00"}, 400, "The label_config is wrong: send it as text."),
    ],
)
def test_one_sentence(body: dict[str, Any], code: int, sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence) as refused:
        Predict.of(body)
    assert refused.value.code == code
