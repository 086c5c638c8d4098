"""Transactions on the database: what goes wrong with it is one sentence, and nothing is written to a lost file."""

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
from pt4al_backend.store.opened import OpenedFiles

logger = logging.getLogger(__name__)

STILL_LOCKED = 1.0  # seconds for which a lock that did not go is taken to be there still
_OURS = (IntegrityError, ProgrammingError, DataError)  # what the statement asks is wrong, not the database


class Sessions:
    """`with sessions() as session` reads; `with sessions.begin() as session` is one transaction."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self.opened: Sequence[OpenedFiles] = ()
        """What has to be in its place before anything is read or written, once it is there."""
        self._engine = engine
        self._directory = directory
        self._locked_at = -math.inf
        self._maker = sessionmaker(engine, expire_on_commit=False)

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        """Raises `StoreError`."""
        with self._told(), self._maker() as session:
            yield session

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """Raises `StoreError`; nothing of the transaction is kept then."""
        with self._told(), self._maker.begin() as session:
            yield session

    @property
    def is_locked(self) -> bool:
        """Whether the database has just been waited for in vain: nobody who comes now waits as long again."""
        return time.monotonic() - self._locked_at < STILL_LOCKED

    @contextmanager
    def _told(self) -> Iterator[None]:
        for files in self.opened:
            files.require()
        try:
            yield
        except _OURS:
            raise
        except (DBAPIError, NoConnectionError) as error:
            reason = str(getattr(error, "orig", None) or "no connection is free")  # no parameters: they may be tokens
            raise StoreError(self._sentence(reason.splitlines()[0])) from error

    def _sentence(self, reason: str) -> str:
        if "locked" in reason:
            self._locked_at = time.monotonic()
            return "The database is locked by another program: try again, and end what holds it."
        trouble = trouble_with(self._directory)
        if trouble:
            return trouble
        if "full" in reason:
            return f"The disk with {self._directory} is full: free some space, and it goes on by itself."
        damaged = damage(self._engine, reason)
        if damaged:
            return damaged
        if "I/O" in reason:
            return (
                f"The database in {self._directory} cannot be read ({reason}): one of its files was changed, or the "
                "disk fails. Start pt4al-backend again; labels are safe in Label Studio."
            )
        logger.error("database: %s", reason)  # not for strangers, who may read the sentence
        return "The database of pt4al-backend does not answer: try again, and look into its log."


def damage(engine: Engine, reason: str) -> str:
    """A sentence where the file of an SQLite database is damaged; "" where `reason` is another one."""
    if engine.dialect.name != "sqlite" or not ("malformed" in reason or "not a database" in reason):
        return ""
    return (
        f"The database {engine.url.database} is damaged ({reason}). Move the data directory away, or start with "
        "another one (PT4AL_DATA_DIR): labels are safe in Label Studio, and everything else is learnt again."
    )
