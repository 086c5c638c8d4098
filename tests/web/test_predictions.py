"""How long /predict waits, and for which labels."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.filled_store import CREATED, add_ranked, rank, reread, state

from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project
from pt4al_backend.web.context import context

pytestmark = pytest.mark.alone

LABELLED = {"id": 2, "annotations": [{"id": 1}]}
SKIPPED = {"id": 2, "annotations": [{"id": 1, "was_cancelled": True}]}


def ask(client: FlaskClient, *tasks: dict[str, Any]) -> tuple[list[float], float]:
    """Scores, and the seconds they took."""
    started = time.monotonic()
    answer = client.post("/predict", json={"project": f"12.{CREATED}", "tasks": list(tasks)})
    return [result["score"] for result in answer.json["results"]], time.monotonic() - started


@pytest.fixture
def project(store: Store) -> Project:
    """A ready project with a running worker."""
    store.beat(device="cpu", busy_with="")
    return add_ranked(store)


def work(store: Store, project: Project, after: float) -> threading.Thread:
    """A worker that syncs the label of task 2 and refits once it is woken."""

    def refit() -> None:
        while reread(store, project).wake_at <= project.wake_at:
            time.sleep(0.01)
        time.sleep(after)
        woken = reread(store, project).wake_at
        store.apply(project.id, [state(2, "cat", version="2")])
        store.update(project.id, looked_at=woken)
        time.sleep(0.1)  # between the two /predict must not answer: the ranking is stale
        rank(store, project, 10, shift=0.5)

    thread = threading.Thread(target=refit, daemon=True)
    thread.start()
    return thread


def test_waits_for_a_label_that_the_request_shows(client: FlaskClient, store: Store, project: Project) -> None:
    thread = work(store, project, after=0.2)
    scores, seconds = ask(client, {"id": 1}, LABELLED)
    thread.join()
    assert scores == [pytest.approx(0.501), pytest.approx(0.502)]
    assert 0.2 < seconds < 1.5


def test_waits_for_a_label_announced_by_a_webhook(client: FlaskClient, store: Store, project: Project) -> None:
    store.wake([project.id])
    thread = work(store, project, after=0.1)
    scores, _ = ask(client, {"id": 1})
    thread.join()
    assert scores == [pytest.approx(0.501)]


def test_does_not_wait_when_nothing_is_new(client: FlaskClient, store: Store, project: Project) -> None:
    store.apply(project.id, [state(3, "cat", version="2")])
    rank(store, project, 10)
    known = {"id": 3, "annotations": [{"id": 1}]}
    scores, seconds = ask(client, {"id": 1}, SKIPPED, known)
    assert scores == [0.001, 0.002, 0.003]
    assert seconds < 0.5
    assert reread(store, project).wake_at == project.wake_at


def no_worker(store: Store, project: Project) -> None:
    pass


def dead_worker(store: Store, project: Project) -> None:
    store.beat(device="cpu", busy_with="")
    with closing(sqlite3.connect(store.data_dir / "pt4al.db")) as database, database:
        database.execute("UPDATE worker SET heartbeat_at = heartbeat_at - 60")


def no_model_yet(store: Store, project: Project) -> None:
    store.beat(device="cpu", busy_with="")
    store.update(project.id, stage="pretext")


@pytest.mark.parametrize("circumstance", [no_worker, dead_worker, no_model_yet])
def test_does_not_wait_if_that_is_useless(
    client: FlaskClient, store: Store, circumstance: Callable[[Store, Project], None]
) -> None:
    project = add_ranked(store)
    circumstance(store, project)
    scores, seconds = ask(client, LABELLED)
    assert scores == [0.002]
    assert seconds < 0.5
    assert reread(store, project).wake_at > project.wake_at, "the worker is woken all the same"


def test_waits_no_longer_than_allowed(start: Callable[..., FlaskClient]) -> None:
    client = start(predict_wait=0.3)
    context().store.beat(device="cpu", busy_with="")
    add_ranked(context().store)
    scores, seconds = ask(client, LABELLED)
    assert scores == [0.002]
    assert 0.3 <= seconds < 1


def test_a_project_forgotten_meanwhile_has_no_predictions(client: FlaskClient, store: Store, project: Project) -> None:
    timer = threading.Timer(0.2, store.forget, [project.id])
    timer.start()
    scores, seconds = ask(client, LABELLED)
    timer.join()
    assert scores == [1.0]
    assert seconds < 1.5


def test_many_annotated_tasks_in_one_request(client: FlaskClient, store: Store) -> None:
    add_ranked(store)
    tasks = [{"id": task, "annotations": [{}]} for task in range(33_000)]  # SQLite takes 32,766 parameters
    scores, _ = ask(client, *tasks)
    assert len(scores) == 33_000
