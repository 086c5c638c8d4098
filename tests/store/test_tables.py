"""Constraints and defaults of the tables."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session
from support.stored import state

from pt4al_backend.store import tables
from pt4al_backend.store.tables import Project, Task


def test_project_ids_are_never_reused(store, project):
    store.forget(project.id)
    again = store.connect(url="http://x", number=7, created="99", access_token="", label_config="")
    assert again.id > project.id


def test_a_project_is_stored_only_once(store, project):
    with pytest.raises(IntegrityError), store._session.begin() as session:
        session.add(Project(label_studio_url="http://x", number=7, created="99"))


def test_tasks_are_deleted_with_their_project(store, project):
    store.apply(project.id, [state(1)])
    with store._session.begin() as session:
        session.delete(session.get(Project, project.id))
    assert store.task_ids(project.id) == []


def test_a_new_project_waits_for_the_worker(store, project):
    row = store.project(project.id)
    assert (row.stage, row.stage_detail) == (tables.WAITING, "for the worker")
    assert (row.model_version, row.published, row.retired, row.notes) == ("", [], [], [])
    assert (row.pretext_generation, row.main_generation, row.main_round, row.ranked_revision) == (0, 0, -1, -1)


def test_no_answer_is_null(store, project):
    """Not the JSON of None, so that a database can count labels."""
    store.apply(project.id, [state(1), state(2, label="cat")])
    with Session(store._engine) as session:
        assert session.scalars(select(Task.id).where(Task.answers.is_(None))).all() == [1]
