"""Creates and migrates the tables: in one transaction, in one process, with a backup of the database beside it.

A database that is up to date is only read. Alembic keeps the revision in its table `alembic_version`; releases before
Alembic kept it as a number in `schema`.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, NullPool, create_engine, event, insert, inspect, select, text
from sqlalchemy.exc import DBAPIError

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.disk import describe
from pt4al_backend.store.files import locked, replacing
from pt4al_backend.store.tables import REVISION, Base, Schema

SCRIPTS = Path(__file__).with_name("migrations")
WORKER_LOCK = "worker.lock"
"""The file in the data directory that the worker keeps locked."""
PATIENCE = 60.0
"""Seconds that a process waits while another one migrates."""
_ADVISORY_LOCK = 0x7074_3461_6C  # of PostgreSQL: "pt4al"

logger = logging.getLogger(__name__)


def require_current(engine: Engine, data_dir: Path) -> None:
    """Create the tables if there are none, and migrate those of an older release.

    An error leaves the database as it was.

    Raises:
        PT4ALError: A newer release wrote the tables, an older one is running, or the backup cannot be written.
        SQLAlchemyError: The database cannot be used.
    """
    with engine.connect() as connection:
        before = _revision(connection, data_dir)
    if before == REVISION:
        return
    copy: str | None = None
    try:
        with _alone(engine) as connection:
            now = _revision(connection, data_dir)  # another process may have been faster
            if now is None:
                _create(connection)
            elif now != REVISION:
                with _no_worker(data_dir):
                    copy = _back_up(connection, now)
                    run_scripts(connection, now)
    except DBAPIError as error:
        if before is None:
            raise
        raise PT4ALError(
            f"The database of {data_dir} is from an older release and could not be migrated ({error.orig}). It is "
            "unchanged. Free some disk space, stop other programs that use it, and restart pt4al-backend."
        ) from error
    if copy is not None:
        logger.warning("The database of %s is from an older release and was migrated.%s", data_dir, copy)


def run_scripts(connection: Connection, since: str | None = None, *, until: str = REVISION) -> None:
    """Run the migrations after revision `since`, up to `until`, in the connection's transaction."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(SCRIPTS), version_locations=[str(SCRIPTS)])
    context = MigrationContext.configure(connection, opts={"render_as_batch": True})
    with Operations.context(context):
        for script in reversed([*scripts.iterate_revisions(until, since or "base")]):
            script.module.upgrade()
        context.stamp(scripts, until)


def _revision(connection: Connection, data_dir: Path) -> str | None:
    """The revision of the tables; None if there are none, or none that were ever used."""
    tables = inspect(connection)
    if tables.has_table("alembic_version"):
        revisions = list(connection.scalars(text("SELECT version_num FROM alembic_version")))
    elif tables.has_table(Schema.__tablename__):
        revisions = [f"{version:04}" for version in connection.scalars(select(Schema.version))]
    else:
        revisions = []
    if not revisions:
        return None
    if len(revisions) > 1 or not revisions[0].isdecimal() or revisions[0] > REVISION:
        raise PT4ALError(
            f"The database of {data_dir} was written by a newer version of pt4al-backend. "
            "Use that version, or set PT4AL_DATA_DIR to a new directory: labels are safe in Label Studio."
        )
    return revisions[0]


def _create(connection: Connection) -> None:
    """Create all tables and record their revision. Replaces what a killed process left."""
    Base.metadata.drop_all(connection)
    Base.metadata.create_all(connection)
    connection.execute(insert(Schema).values(version=int(REVISION)))
    connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
    connection.execute(text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": REVISION})


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """An exclusive transaction, which also covers creating and dropping tables."""
    if engine.dialect.name != "sqlite":
        with engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
            yield connection
        return
    # A separate connection: Python's sqlite3 does not begin transactions by itself there, and foreign keys stay
    # unchecked, so that a table can be replaced without losing the rows that refer to it.
    alone = create_engine(engine.url, poolclass=NullPool, connect_args={"timeout": PATIENCE}, hide_parameters=True)
    event.listen(alone, "connect", _leave_transactions_to_us)
    event.listen(alone, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    with alone.begin() as connection:
        yield connection


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute("PRAGMA journal_mode=WAL")


@contextmanager
def _no_worker(data_dir: Path) -> Iterator[None]:
    """Keep workers from starting. Raises `PT4ALError` if one runs: it would continue to write the old tables."""
    with locked(data_dir / WORKER_LOCK, wait=False) as alone:
        if not alone:
            raise PT4ALError(
                f"An older version of pt4al-backend is running on {data_dir}: stop it, then restart this one."
            )
        yield


def _back_up(connection: Connection, revision: str) -> str:
    """Back up an SQLite database, readable for this user only. Returns a sentence that says where the backup is."""
    if connection.dialect.name != "sqlite" or not connection.engine.url.database:
        return ""
    database = Path(connection.engine.url.database)
    copy = database.with_name(f"{database.stem}-schema-{int(revision)}.backup{database.suffix}")
    try:
        with replacing(copy) as unfinished:
            unfinished.unlink(missing_ok=True)
            unfinished.touch(mode=0o600, exist_ok=False)
            with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(unfinished)) as target:
                source.backup(target)
    except (OSError, sqlite3.Error) as error:
        reason = describe(error, copy) if isinstance(error, OSError) else f"{error}."
        raise PT4ALError(
            f"The database {database} is from an older release, and cannot be backed up before it is migrated: "
            f"{reason} Nothing has changed. Free some space, then restart pt4al-backend."
        ) from error
    return f" A backup of the old one is in {copy}."
