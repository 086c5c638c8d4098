"""The heartbeat of a worker, sent by its own thread, so that it goes on during a long step or while torch loads."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pt4al_backend.errors import PT4ALError, StoreError
from pt4al_backend.processes.cpu_meter import CpuMeter
from pt4al_backend.processes.memory_use import resident_memory
from pt4al_backend.settings import Settings
from pt4al_backend.store.files import locked
from pt4al_backend.store.migrate import WORKER_LOCK
from pt4al_backend.store.store import Store

EVERY = 2.0  # seconds between two heartbeats
ENDING = 20.0  # seconds that a worker may take to end

logger = logging.getLogger(__name__)


@contextmanager
def only_worker(data_dir: Path) -> Iterator[None]:
    """Hold the lock that only one worker per data directory may hold: two would undo each other's work.

    Raises:
        PT4ALError: Another worker holds it.
    """
    with locked(data_dir / WORKER_LOCK, wait=False) as acquired:
        if not acquired:
            raise PT4ALError(
                f"Another worker already runs on {data_dir}. Stop it first, or set PT4AL_DATA_DIR to another directory."
            )
        yield


def require_no_worker(data_dir: Path) -> None:
    """Check that no worker runs, and wait a while for one that is ending.

    Raises:
        PT4ALError: A worker still runs after `ENDING` seconds.
    """
    deadline = time.monotonic() + ENDING
    while True:
        try:
            with only_worker(data_dir):
                return
        except PT4ALError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.2)


@contextmanager
def starting(settings: Settings) -> Iterator[None]:
    """Report that a worker is starting, until the block ends."""
    store = Store(settings.data_dir, settings.database_url)
    with contextlib.closing(store), _every(EVERY, store.worker_starts):
        yield


class Working(Protocol):
    """What a heartbeat reports about a worker."""

    @property
    def busy_with(self) -> str:
        """What the worker is doing."""

    @property
    def trouble(self) -> str:
        """Why the worker waits; "" if it does not."""


@contextmanager
def beating(store: Store, worker: Working, *, device: str) -> Iterator[None]:
    """Until the block ends, report what the worker does or waits for, and how much processor time it gets."""
    meter = CpuMeter()

    def beat() -> None:
        use = meter.measure()
        try:
            store.beat(
                device=device, busy_with=worker.busy_with, trouble=worker.trouble, cpu=use, memory=resident_memory()
            )
        except StoreError:  # the scheduler meets this error too, and reports it
            with contextlib.suppress(OSError):
                os.utime(store.data_dir / WORKER_LOCK)  # needs no disk space and no lock

    try:
        with _every(EVERY, beat):
            yield
    finally:
        with contextlib.suppress(StoreError):  # the age of the last heartbeat shows it, too
            store.worker_ends()


@contextmanager
def _every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Call `action` now and every `seconds` until the block ends. Errors are logged and do not stop this."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(seconds):
            with _logged():
                action()

    with _logged():
        action()
    thread = threading.Thread(target=repeat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("The worker's heartbeat failed.")
