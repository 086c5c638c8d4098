"""Transactions on the database: errors become a sentence, and nothing is written to a file that was replaced."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.orm import Session, sessionmaker

from pt4al_backend.errors import StoreError
from pt4al_backend.store.disk import trouble_with
from pt4al_backend.store.opened_files import OpenedFiles

logger = logging.getLogger(__name__)

STILL_LOCKED = 1.0  # seconds after a wait for a lock during which it counts as still held
_OURS = (IntegrityError, ProgrammingError, DataError)  # the statement is wrong, not the database


class Sessions:
    """`with sessions() as session` reads; `with sessions.begin() as session` is one transaction."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.opened: Sequence[OpenedFiles] = ()
        """Files that must be in their place before anything is read or written."""
        self._engine = engine
        self._directory = directory
        self._locked_at = -math.inf
        self._maker = sessionmaker(engine, expire_on_commit=False)

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        """A session that only reads.

        Raises:
            StoreError: The database cannot be used right now.
        """
        with self._translated(), self._maker() as session:
            yield session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction, rolled back on any error.

        Raises:
            StoreError: The database cannot be used right now.
        """
        with self._translated(), self._maker.begin() as session:
            yield session

    @property
    def is_locked(self) -> bool:
        """Whether a transaction has just waited for a lock in vain: those that follow wait less."""
        return time.monotonic() - self._locked_at < STILL_LOCKED

    @contextmanager
    def _translated(self) -> Iterator[None]:
        for files in self.opened:
            files.require()
        try:
            yield
        except _OURS:
            raise
        except (DBAPIError, NoConnectionError) as error:
            reason = str(
                getattr(error, "orig", None) or "no connection is free"
            )  # without parameters: they may be tokens
            raise StoreError(self._sentence(reason.splitlines()[0])) from error

    def _sentence(self, reason: str) -> str:
        if "locked" in reason:
            self._locked_at = time.monotonic()
            return "The database is locked by another program: stop that program, or try again."
        trouble = trouble_with(self._directory)
        if trouble:
            return trouble
        if "full" in reason:
            return f"The disk with {self._directory} is full: free some space, and work resumes by itself."
        damaged = damage(self._engine, reason)
        if damaged:
            return damaged
        if "I/O" in reason:
            return (
                f"The database in {self._directory} cannot be read ({reason}): one of its files was changed, or the "
                "disk fails. Restart pt4al-backend; labels are safe in Label Studio."
            )
        logger.error("database: %s", reason)  # only in the log: strangers may read the sentence
        return "The database of pt4al-backend does not respond: try again, and see its log."


def damage(engine: Engine, reason: str) -> str:
    """A sentence if the file of an SQLite database is damaged; "" if `reason` says something else."""
    if engine.dialect.name != "sqlite" or not ("malformed" in reason or "not a database" in reason):
        return ""
    return (
        f"The database {engine.url.database} is damaged ({reason}). Move the data directory away, or start with "
        "another one (PT4AL_DATA_DIR): labels are safe in Label Studio, and everything else is learned again."
    )
