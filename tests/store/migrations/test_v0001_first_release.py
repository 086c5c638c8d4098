"""The tables of the first release."""

from __future__ import annotations

from pathlib import Path

from support.old_databases import connected, tables_of, write_old

from pt4al_backend.store.migrate import run_scripts


def test_they_are_those_that_the_release_made(tmp_path: Path) -> None:
    with connected(tmp_path / "scripted.db") as connection:
        run_scripts(connection, until="0001")
    scripted = tables_of(tmp_path / "scripted.db")
    del scripted["alembic_version"]
    assert scripted == tables_of(write_old("release_0_1_0", tmp_path / "old"))
