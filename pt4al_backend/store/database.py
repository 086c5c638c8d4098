"""The database behind the store: opening it, and refusing one that cannot be used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import sessionmaker

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.tables import SCHEMA_VERSION, Base, Schema

FILE = "pt4al.db"


class Database:
    """SQLite in ``data_dir``, or whatever ``database_url`` names."""

    @staticmethod
    def exists(data_dir: Path, database_url: str = "") -> bool:
        """Whether there may be one, so that who only looks need not make one where there is none."""
        return bool(database_url) or (data_dir / FILE).exists()

    def __init__(self, data_dir: Path, database_url: str = "") -> None:
        self.data_dir = data_dir
        _writable(data_dir)
        self._engine = _engine(database_url or f"sqlite:///{data_dir / FILE}")
        self._session = sessionmaker(self._engine, expire_on_commit=False)
        self._create_tables()

    def close(self) -> None:
        """Give back all connections."""
        self._engine.dispose()

    def _create_tables(self) -> None:
        try:
            Base.metadata.create_all(self._engine)
            with self._session.begin() as session:
                versions = list(session.scalars(select(Schema.version)))
                if not versions:
                    session.merge(Schema(version=SCHEMA_VERSION))
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            raise PT4ALError(
                f"The database cannot be used: {reason}. Check PT4AL_DATABASE_URL and the disk."
            ) from error
        if versions and versions != [SCHEMA_VERSION]:
            raise PT4ALError(
                f"{self.data_dir} was written by another version of pt4al-backend. "
                "Use that version, or set PT4AL_DATA_DIR to a new directory: labels are safe in Label Studio."
            )


def _writable(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = directory / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise PT4ALError(
            f"The data directory {directory} cannot be written ({error.strerror}). "
            "Set PT4AL_DATA_DIR to a directory this user may write to."
        ) from error


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        try:
            return create_engine(url, pool_pre_ping=True, hide_parameters=True)
        except (SQLAlchemyError, ValueError):  # the address may hold a password: it is not told
            raise PT4ALError(
                "PT4AL_DATABASE_URL is not an address of a database: write it like "
                "postgresql+psycopg://user:password@host/name."
            ) from None
        except ModuleNotFoundError as error:
            raise PT4ALError(
                f"The database of PT4AL_DATABASE_URL needs the Python package {error.name}, which is not installed: "
                "for PostgreSQL, pip install 'psycopg[binary]' and let the address begin with postgresql+psycopg://."
            ) from None
    engine = create_engine(url, connect_args={"timeout": 30}, hide_parameters=True)  # tokens are parameters

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # safe against kill -9; a power cut may lose the last second
        connection.execute("PRAGMA foreign_keys=ON")

    return engine
