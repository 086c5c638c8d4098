"""Databases of older releases, and of newer ones, when this release opens them."""

from __future__ import annotations

import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from support.disks import fill, mounted
from support.old_databases import OLD, connected, dumped, tables_of, write_old

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.files import locked
from pt4al_backend.store.migrate import SCRIPTS, WORKER_LOCK, run_scripts
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import REVISION, Base

OPEN = "import sys, pathlib; from pt4al_backend.store.store import Store; Store(pathlib.Path(sys.argv[1])).close()"


def differences(file: Path) -> list[object]:
    with connected(file) as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return compare_metadata(context, Base.metadata)


def test_the_migrations_lead_to_the_tables_of_this_release(tmp_path: Path) -> None:
    scripted = tmp_path / "scripted.db"
    with connected(scripted) as connection:
        run_scripts(connection)
    assert differences(scripted) == []
    Store(tmp_path).close()
    assert tables_of(scripted) == tables_of(tmp_path / "pt4al.db")
    assert differences(tmp_path / "pt4al.db") == []


def test_the_newest_migration_is_the_revision_of_the_tables() -> None:
    assert ScriptDirectory(str(SCRIPTS), version_locations=[str(SCRIPTS)]).get_heads() == [REVISION]
    assert {path.stem[1:5] for path in SCRIPTS.glob("v*.py")} == {f"{n:04}" for n in range(1, int(REVISION) + 1)}


def test_the_migrations_suit_postgresql() -> None:
    statements: list[str] = []

    class Written:
        def write(self, statement: str) -> None:
            statements.append(statement)

        def flush(self) -> None: ...

    scripts = ScriptDirectory(str(SCRIPTS), version_locations=[str(SCRIPTS)])
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": Written(), "render_as_batch": True}
    )
    with Operations.context(context):
        for script in reversed([*scripts.iterate_revisions(REVISION, "base")]):
            script.module.upgrade()
    assert any("ALTER TABLE project ADD COLUMN questions JSON DEFAULT '[]' NOT NULL" in one for one in statements)


@pytest.mark.parametrize("name", OLD)
def test_an_older_database_is_migrated_and_kept(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write_old(name, tmp_path)
    before = dumped(file)
    with closing(Store(tmp_path)) as store:
        digits, connected_only = store.projects()
        assert (digits.label_studio_url, digits.number, digits.created, digits.title) == ("http://x", 1, "1", "digits")
        assert digits.model_version.startswith("pt4al-r0-n4-") and len(digits.published) > 4
        assert [entry["version"][:11] for entry in digits.retired] == ["pt4al-r0-n0"]
        assert (connected_only.label_studio_url, connected_only.access_token) == ("http://y", "a-token")
        third = store.connect(url="http://z", number=3, created="", access_token="", label_config="")
        assert third.id == 3
        store.worker_starts()
        store.announce(third.id, tasks=5)
    assert differences(file) == []
    backup = tmp_path / f"pt4al-schema-{OLD[name]}.backup.db"
    assert dumped(backup) == before
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    assert str(backup) in caplog.text
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    caplog.clear()
    Store(tmp_path).close()
    assert caplog.text == ""


def test_releases_without_migrations_reject_a_migrated_database(tmp_path: Path) -> None:
    file = write_old("before_migrations", tmp_path)
    Store(tmp_path).close()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT version FROM schema").fetchall() == [(int(REVISION),)]  # they know up to 3


@pytest.mark.parametrize(
    "newer",
    [
        "UPDATE alembic_version SET version_num = '0999'",
        "UPDATE alembic_version SET version_num = '1a2b3c'",
        "DROP TABLE alembic_version; UPDATE schema SET version = 99",
    ],
)
def test_a_newer_database_is_rejected_with_a_sentence(newer: str, tmp_path: Path) -> None:
    Store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "pt4al.db")) as database:
        database.executescript(newer)
    before = dumped(tmp_path / "pt4al.db")
    with pytest.raises(PT4ALError, match=r"by a newer version of pt4al-backend. Use that version, or set"):
        Store(tmp_path)
    assert dumped(tmp_path / "pt4al.db") == before


@pytest.mark.parametrize("name", [None, "release_0_1_0"])
def test_several_processes_migrate_once(name: str | None, tmp_path: Path) -> None:
    if name:
        write_old(name, tmp_path)
    command = [sys.executable, "-c", OPEN, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    told = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, told
    assert "".join(told).count("was migrated") == (1 if name else 0)
    assert differences(tmp_path / "pt4al.db") == []


@pytest.mark.parametrize("name", OLD)
def test_a_migration_that_fails_changes_nothing(name: str, tmp_path: Path) -> None:
    file = write_old(name, tmp_path)
    with closing(sqlite3.connect(file)) as database:  # the last statement of the last script
        database.execute("CREATE TRIGGER t BEFORE UPDATE ON schema BEGIN SELECT RAISE(ABORT, 'it is too late'); END")
    before = dumped(file)
    with pytest.raises(PT4ALError, match=r"could not be migrated \(it is too late\). It is unchanged."):
        Store(tmp_path)
    assert dumped(file) == before
    with closing(sqlite3.connect(file)) as database:
        database.execute("DROP TRIGGER t")
    with closing(Store(tmp_path)) as store:
        assert len(store.projects()) == 2


def test_a_migration_that_is_killed_changes_nothing(tmp_path: Path) -> None:
    file = write_old("release_0_1_0", tmp_path)
    before = dumped(file)
    program = (
        "import os; from pt4al_backend.store import migrate; run = migrate.run_scripts\n"
        "migrate.run_scripts = lambda *arguments: (run(*arguments), os.kill(os.getpid(), 9))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program + OPEN, str(tmp_path)], check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL
    assert dumped(file) == before
    Store(tmp_path).close()
    assert differences(file) == []


def test_tables_of_a_process_that_was_killed_while_it_created_them(tmp_path: Path) -> None:
    file = write_old("release_0_1_0", tmp_path)
    with closing(sqlite3.connect(file)) as database:
        database.executescript("DELETE FROM project; DELETE FROM schema")
    Store(tmp_path).close()
    assert differences(file) == []


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        (0, r"The disk with .* is full: free some space"),
        (70_000, r"cannot be backed up before it is migrated: .* is full. Nothing has changed. Free some space"),
        (100_000, r"could not be migrated \(.* is full\). It is unchanged. Free some disk space"),
    ],
)
def test_a_full_disk_gives_a_sentence_and_loses_nothing(left: int, sentence: str, tmp_path: Path) -> None:
    with mounted(tmp_path / "data", megabytes=3) as disk:
        file = write_old("before_migrations", disk)
        before = dumped(file)
        ballast = fill(disk, leave=left)
        with pytest.raises(PT4ALError, match=sentence):
            Store(disk)
        ballast.unlink()
        assert dumped(file) == before
        Store(disk).close()
        assert differences(file) == []


def test_nothing_is_migrated_under_a_running_worker(tmp_path: Path) -> None:
    file = write_old("last_0_1_0", tmp_path)
    before = dumped(file)
    running = r"An older version of pt4al-backend is running .* stop it"
    with locked(tmp_path / WORKER_LOCK), pytest.raises(PT4ALError, match=running):
        Store(tmp_path)
    assert dumped(file) == before
    Store(tmp_path).close()
