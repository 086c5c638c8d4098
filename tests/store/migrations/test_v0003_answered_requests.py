"""The request that a training answers replaces the time when the training started."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from support.old_databases import connected, tables_of, write_old

from pt4al_backend.store.migrate import run_scripts
from pt4al_backend.store.store import Store


def test_the_tables_are_those_that_its_builds_made(tmp_path: Path) -> None:
    file = write_old("schema_2", tmp_path)
    with connected(file) as connection:
        run_scripts(connection, "0002", until="0003")
    migrated = tables_of(file)
    del migrated["alembic_version"]
    assert migrated == tables_of(write_old("last_0_1_0", tmp_path / "old"))


def test_the_migration_requests_no_training_and_keeps_what_was_learned(tmp_path: Path) -> None:
    with closing(sqlite3.connect(write_old("schema_2", tmp_path))) as database:
        database.executescript("UPDATE project SET train_requested_at = 1700000000.5, main_started_at = 1700000001.5")
    with closing(Store(tmp_path)) as store:
        project, _ = store.projects()
        assert project.main_requested_at == project.train_requested_at == 1700000000.5
        assert (store.totals(1).tasks, store.totals(1).labelled) == (24, 4)
        assert store.ranking(1) is not None
