"""The database behind the store: opens it, and rejects one that cannot be used."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from pt4al_backend.errors import PT4ALError, StoreError
from pt4al_backend.store import migrate
from pt4al_backend.store.disk import trouble_with
from pt4al_backend.store.opened_files import OpenedFiles
from pt4al_backend.store.sessions import Sessions, damage

FILE = "pt4al.db"
MARK = ".pt4al"
"""An empty file that identifies a data directory whose database is elsewhere."""
PATIENCE = 3.0
"""Seconds that a transaction waits for another process when somebody waits for the response."""
LITTLE_PATIENCE = 0.1  # seconds, after a wait that was in vain: the waits of a queue of requests must not add up
_PROBE_EVERY = 2.0  # seconds between checks of the disk


class Database:
    """SQLite in `data_dir`, or the database at `database_url`."""

    @staticmethod
    def exists(data_dir: Path, database_url: str = "") -> bool:
        """Whether a database may exist: commands that only read must not create one."""
        return bool(database_url) or (data_dir / FILE).exists()

    def __init__(self, data_dir: Path, database_url: str = "", *, patience: float = PATIENCE) -> None:
        """Open the database, and create or migrate its tables.

        Args:
            data_dir: The data directory; created if it is missing.
            database_url: An SQLAlchemy URL; "" means SQLite in `data_dir`.
            patience: Seconds that a transaction waits for another process.

        Raises:
            PT4ALError: The database or the data directory cannot be used.
        """
        self.data_dir = data_dir
        _writable(data_dir)
        self._engine = _engine(database_url or f"sqlite:///{data_dir / FILE}", patience)
        self._session = Sessions(self._engine, data_dir)
        if self._engine.dialect.name == "sqlite":
            self._bound_waiting(patience)
        try:
            self._require_current_tables()
        except BaseException:
            self.close()
            raise
        self._session.opened = self._opened()
        self._probed: tuple[float, str] = (-_PROBE_EVERY, "")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def require_present(self) -> None:
        """Raise `StoreError` unless the data directory is the one that was opened."""
        for files in self._session.opened:
            files.require()

    def require_usable(self) -> None:
        """Raise `StoreError` unless the data directory is the one that was opened, and can be written."""
        self.require_present()
        trouble = self.disk_trouble()
        if trouble:
            raise StoreError(trouble)

    def disk_trouble(self) -> str:
        """Why nothing can be written to the data directory; "" if something can. At most a few seconds old."""
        now = time.monotonic()
        if now - self._probed[0] >= _PROBE_EVERY:
            self._probed = (now, trouble_with(self.data_dir))
        return self._probed[1]

    def _opened(self) -> list[OpenedFiles]:
        opened = []
        url = self._engine.url
        if url.get_backend_name() == "sqlite" and url.database:
            file = Path(url.database)
            # The two files beside it exist while a connection is open, and the pool keeps one open.
            opened.append(OpenedFiles([file, file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}-shm")]))
        if not opened or file.parent != self.data_dir:
            (self.data_dir / MARK).touch()
            opened.append(OpenedFiles([self.data_dir / MARK]))
        return opened

    def _bound_waiting(self, patience: float) -> None:
        @event.listens_for(self._engine, "checkout")
        def _set_timeout(connection: Any, _record: Any, _proxy: Any) -> None:
            seconds = LITTLE_PATIENCE if self._session.is_locked else patience
            connection.execute(f"PRAGMA busy_timeout={seconds * 1000:.0f}")

    def _require_current_tables(self) -> None:
        try:
            migrate.require_current(self._engine, self.data_dir)
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or error).splitlines()[0]
            unusable = f"The database cannot be used: {reason}. Check PT4AL_DATABASE_URL and the disk."
            raise PT4ALError(damage(self._engine, reason) or trouble_with(self.data_dir) or unusable) from error


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


def _engine(url: str, patience: float) -> Engine:
    if not url.startswith("sqlite"):
        try:
            return create_engine(url, pool_pre_ping=True, pool_timeout=patience, hide_parameters=True)
        except (SQLAlchemyError, ValueError):  # the URL may contain a password: do not show it
            raise PT4ALError(
                "PT4AL_DATABASE_URL is not the URL of a database: write it like "
                "postgresql+psycopg://user:password@host/name."
            ) from None
        except ModuleNotFoundError as error:
            raise PT4ALError(
                f"The database of PT4AL_DATABASE_URL needs the Python package {error.name}, which is not installed: "
                "for PostgreSQL, pip install 'psycopg[binary]' and begin the URL with postgresql+psycopg://."
            ) from None
    # As many connections as threads: no thread waits for another's connection while the database is locked. Errors
    # hide the parameters because some are tokens.
    engine = create_engine(url, connect_args={"timeout": patience}, pool_size=16, max_overflow=-1, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")  # survives kill -9; a power cut may lose the last second
        connection.execute("PRAGMA foreign_keys=ON")

    return engine
