"""Transactions, and the sentences of their errors."""

import logging
import time

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import IntegrityError
from support.disks import locked

from pt4al_backend.errors import DataGoneError, StoreError
from pt4al_backend.store.sessions import damage
from pt4al_backend.store.store import Store


def test_nothing_is_kept_of_a_transaction_that_fails(store, project):
    with pytest.raises(KeyError), store._session.begin() as session:
        session.execute(text("UPDATE project SET title = 'half'"))
        raise KeyError
    assert store.project(project.id).title == ""


def test_a_locked_database_is_waited_for_once(tmp_path, store, project):
    patient = Store(tmp_path, patience=0.5)
    with locked(tmp_path / "pt4al.db"):
        waited = []
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(StoreError, match="locked by another program: stop that program"):
                patient.update(project.id, title="x")
            waited.append(time.monotonic() - began)
        assert waited[0] >= 0.5 and patient._session.is_locked
    patient.update(project.id, title="x")
    patient.close()


def test_details_of_database_errors_are_only_in_the_log(store, project, caplog):
    with store._session.begin() as session:
        session.execute(text("ALTER TABLE project RENAME TO elsewhere"))
    with caplog.at_level(logging.ERROR), pytest.raises(StoreError, match="does not respond: try again, and see"):
        store.projects()
    assert "no such table" in caplog.text


def test_errors_of_a_statement_are_not_errors_of_the_database(store):
    with pytest.raises(IntegrityError), store._session.begin() as session:
        session.execute(text("INSERT INTO schema (version) SELECT version FROM schema"))


def test_nothing_is_written_to_a_lost_file(tmp_path, store, project):
    (tmp_path / "pt4al.db").rename(tmp_path / "moved.db")
    with pytest.raises(DataGoneError, match="put it back"):
        store.update(project.id, title="x")
    (tmp_path / "moved.db").rename(tmp_path / "pt4al.db")
    store.update(project.id, title="x")


@pytest.mark.parametrize(
    ("url", "reason", "damaged"),
    [
        ("sqlite:////data/pt4al.db", "database disk image is malformed", True),
        ("sqlite:////data/pt4al.db", "file is not a database", True),
        ("sqlite:////data/pt4al.db", "disk I/O error", False),
    ],
)
def test_damage_is_named(url, reason, damaged):
    sentence = damage(create_engine(url), reason)
    assert ("The database /data/pt4al.db is damaged" in sentence) == damaged == bool(sentence)
