"""The signs of life of a worker, from a thread of their own: also while one step takes long, or torch is loading."""

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
from pt4al_backend.settings import Settings
from pt4al_backend.store.files import locked
from pt4al_backend.store.migrate import WORKER_LOCK
from pt4al_backend.store.store import Store

EVERY = 2.0  # seconds between two signs
ENDING = 20.0  # seconds that a worker may take to end

logger = logging.getLogger(__name__)


@contextmanager
def only_worker(data_dir: Path) -> Iterator[None]:
    """`PT4ALError` where another worker runs: two on one store would undo each other's work."""
    with locked(data_dir / WORKER_LOCK, wait=False) as alone:
        if not alone:
            raise PT4ALError(
                f"Another worker already runs on {data_dir}. Stop it first, or set PT4AL_DATA_DIR to another directory."
            )
        yield


def require_no_worker(data_dir: Path) -> None:
    """`PT4ALError` where a worker runs and goes on to run: one that was told to end may take a while."""
    until = time.monotonic() + ENDING
    while True:
        try:
            with only_worker(data_dir):
                return
        except PT4ALError:
            if time.monotonic() >= until:
                raise
        time.sleep(0.2)


@contextmanager
def starting(settings: Settings) -> Iterator[None]:
    """Say meanwhile that a worker is starting."""
    store = Store(settings.data_dir, settings.database_url)
    with contextlib.closing(store), _every(EVERY, store.worker_starts):
        yield


class Working(Protocol):
    """What a sign of life tells of a worker."""

    @property
    def busy_with(self) -> str:
        """What is under way."""

    @property
    def trouble(self) -> str:
        """Why it waits, if it does."""


@contextmanager
def beating(store: Store, worker: Working, *, device: str) -> Iterator[None]:
    """Say meanwhile that the worker lives, what it does or waits for, and how much of the processors it gets."""
    meter = CpuMeter()

    def beat() -> None:
        use = meter.measure()
        try:
            store.beat(device=device, busy_with=worker.busy_with, trouble=worker.trouble, cpu=use)
        except StoreError:  # the turns, which meet it too, tell of it
            with contextlib.suppress(OSError):
                os.utime(store.data_dir / WORKER_LOCK)  # takes no space and no lock

    try:
        with _every(EVERY, beat):
            yield
    finally:
        with contextlib.suppress(StoreError):  # it is seen by the age of the last sign, too
            store.worker_ends()


@contextmanager
def _every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Do it now and again and again meanwhile. What goes wrong is logged, and does not end it."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(seconds):
            with _logged():
                action()

    with _logged():
        action()
    thread = threading.Thread(target=go_on, name="heartbeat", daemon=True)
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
        logger.exception("the worker cannot tell that it lives")
