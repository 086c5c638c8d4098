"""Many projects at a glance."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import event

from pt4al_backend.labelling.platform import TaskState
from pt4al_backend.store.findings import LATENCY, SUSPECTS
from pt4al_backend.store.overviews import Overview
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project
from pt4al_backend.store.tasks import Totals

TASK = TaskState(1, "/1.jpg", "1", {}, skipped=False, annotations=0, cancelled=0)


def project_of(store: Store, number: int, states: list[TaskState], **columns: object) -> Project:
    project = store.connect(url="http://ls", number=number, created="1", access_token="", label_config="<View/>")
    store.apply(project.id, states)
    store.update(project.id, **columns)
    found = store.project(project.id)
    assert found is not None
    return found


@pytest.fixture
def two(store: Store) -> list[Project]:
    """One with tasks of every kind, and one without tasks."""
    states = [replace(TASK, id=task, image=f"/{task}.jpg") for task in range(1, 6)]
    states[0] = replace(states[0], answers={"kind": "cat"}, annotations=2, notes=("Odd.", "Very odd."))
    states[1] = replace(states[1], cancelled=1, skipped=True, notes=("Odder.",))
    full = project_of(store, 1, states, published=[1, 2, 3, 9])
    store.images_done(full.id, ready={1: ("/1.jpg", 9, 9), 2: ("/2.jpg", 9, 9)}, failed={3: ("/3.jpg", "It is empty.")})
    store.announce(full.id, tasks=70)
    for labels in (1, 2):
        store.add_measurement(
            full.id, model_version="v", round=0, labels=labels, held_out=False, images=9, value=0.5, low=0.4, high=0.6
        )
    store.save_finding(full.id, SUSPECTS, {"labels": [1]}, revision=0)
    store.save_finding(full.id, LATENCY, {"sum": 1.0}, revision=0)
    return [full, project_of(store, 2, [])]


def test_all_that_is_shown_of_each(store: Store, two: list[Project]) -> None:
    full, empty = two
    shown = store.overviews(two, kinds=[SUSPECTS], notes=2)
    measured = shown[full.id].measured
    assert measured is not None and measured.labels == 2
    assert replace(shown[full.id], measured=None) == Overview(
        totals=Totals(tasks=5, annotations=2, cancelled=1, labelled=1, waiting=2, pool=2, unreadable=1),
        announced=70,
        queue_length=2,  # task 1 is labelled, and task 9 does not exist
        findings={SUSPECTS: {"labels": [1]}},
        notes=[(1, "Odd."), (1, "Very odd.")],
    )
    assert shown[empty.id] == Overview()
    assert store.totals(full.id) == shown[full.id].totals and store.totals(empty.id) == Totals()
    assert store.notes(full.id) == [(1, "Odd."), (1, "Very odd."), (2, "Odder.")]


def test_so_many_queries_for_one_project_and_for_many(store: Store, two: list[Project]) -> None:
    asked: list[str] = []
    event.listen(store._engine, "before_cursor_execute", lambda _c, _cursor, sql, *_: asked.append(sql))
    store.overviews(two[:1], kinds=[SUSPECTS, LATENCY], notes=5)
    for_one = len(asked)
    store.overviews(two, kinds=[SUSPECTS, LATENCY], notes=5)
    assert len(asked) == 2 * for_one


def test_tasks_are_counted_without_being_read(tmp_path: Path) -> None:
    """Rows of the table are wide: an image may be in one as base64."""
    with closing(Store(tmp_path)) as store:
        asked: list[tuple[str, tuple[object, ...]]] = []
        event.listen(
            store._engine, "before_cursor_execute", lambda _c, _cursor, sql, values, *_: asked.append((sql, values))
        )
        store.totals(1)
        store.notes(1)
        plans = []
        with store._engine.connect() as connection:
            for sql, values in [each for each in asked if "FROM task" in each[0]]:
                plans += [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)]
    reads = [plan for plan in plans if "task " in f"{plan} " and "USING" in plan]
    assert [plan.split("INDEX ")[1].split(" ")[0] for plan in reads] == ["task_counts", "task_noted"]
    assert "COVERING" in reads[0]
