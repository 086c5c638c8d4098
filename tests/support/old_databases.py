"""Databases as older releases left them, from SQL dumps in `tests/store/migrations/`.

Each was written by the code of its commit: a project of 24 digits (`KnownLabels`, cycles=4, query_size=6) whose loop
was turned until nothing was missing, with four labels and one skipped task after that, and a second project that was
only connected. Then `sqlite3`'s `iterdump`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.pool import NullPool

DUMPS = Path(__file__).parents[1] / "store" / "migrations"
OLD = {
    "release_0_1_0": 1,  # commit 713992c, the first release's day
    "schema_2": 2,  # the commit before 2bf6404
    "last_0_1_0": 3,  # the commit before e0f9f29, the last that calls itself 0.1.0
    "before_migrations": 3,  # commit bbbbaba
    "schema_4": 4,  # commit a6ff674
}
"""Name of the dump -> its number in the table `schema`."""


def write_old(name: str, data_dir: Path) -> Path:
    """A data directory with that database. Returns the database's file."""
    data_dir.mkdir(exist_ok=True, parents=True)
    file = data_dir / "pt4al.db"
    with closing(sqlite3.connect(file)) as database:
        database.executescript((DUMPS / f"{name}.sql").read_text())
        database.execute("PRAGMA journal_mode=WAL")
    return file


def dumped(file: Path) -> list[str]:
    """All that is in a database, as SQL."""
    with closing(sqlite3.connect(file)) as database:
        return list(database.iterdump())


@contextmanager
def connected(file: Path) -> Iterator[Connection]:
    """A transaction of SQLAlchemy's."""
    engine = create_engine(f"sqlite:///{file}", poolclass=NullPool)
    with engine.begin() as connection:
        yield connection
    engine.dispose()


def tables_of(file: Path) -> dict[str, dict[str, str]]:
    """Table -> column -> type and whether it may be NULL."""
    with connected(file) as connection:
        found = inspect(connection)
        return {
            table: {column["name"]: f"{column['type']} {column['nullable']}" for column in found.get_columns(table)}
            for table in found.get_table_names()
        }
