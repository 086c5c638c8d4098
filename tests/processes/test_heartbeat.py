from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.processes import wait_until

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes import heartbeat
from pt4al_backend.settings import Settings
from pt4al_backend.store.migrate import WORKER_LOCK
from pt4al_backend.store.store import Store


@dataclass
class Worker:
    busy_with: str = ""
    trouble: str = ""


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setattr(heartbeat, "EVERY", 0.02)
    store = Store(tmp_path, patience=0.1)
    yield store
    store.close()


def test_only_one_worker_runs_on_a_data_directory(tmp_path: Path) -> None:
    refused = pytest.raises(PT4ALError, match="Another worker already runs")
    with heartbeat.only_worker(tmp_path), refused, heartbeat.only_worker(tmp_path):
        pass
    with heartbeat.only_worker(tmp_path):
        pass


def test_a_worker_that_keeps_running_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "ENDING", 0.3)
    with heartbeat.only_worker(tmp_path), pytest.raises(PT4ALError, match="Another worker already runs"):
        heartbeat.require_no_worker(tmp_path)


def test_a_worker_that_was_told_to_end_is_waited_for(tmp_path: Path) -> None:
    ending = contextlib.ExitStack()
    ending.enter_context(heartbeat.only_worker(tmp_path))
    threading.Timer(0.5, ending.close).start()
    heartbeat.require_no_worker(tmp_path)


def test_a_worker_that_starts_says_so(tmp_path: Path, store: Store) -> None:
    with heartbeat.starting(Settings(data_dir=tmp_path, database_url="")):
        first = store.vitals().starting_at
        assert time.time() - first < 60
        wait_until("another heartbeat", lambda: store.vitals().starting_at > first, seconds=20, every=0.01)


def test_a_heartbeat_reports_what_the_worker_does(store: Store) -> None:
    worker = Worker(busy_with="project 1: embedding images")
    with heartbeat.beating(store, worker, device="a CPU"):
        row = store.worker()
        assert row is not None
        assert (row.device, row.busy_with, store.vitals().trouble) == ("a CPU", "project 1: embedding images", "")
        worker.busy_with, worker.trouble = "", "The disk is full."
        wait_until("the trouble", lambda: store.vitals().trouble == "The disk is full.", seconds=20, every=0.01)
    row = store.worker()
    assert row is not None
    assert (row.heartbeat_at, store.vitals().trouble) == (0.0, "")


def test_a_locked_database_does_not_stop_the_heartbeat(tmp_path: Path, store: Store) -> None:
    """The worker touches its lock meanwhile, which `Store.worker` counts as a heartbeat."""
    lock = tmp_path / WORKER_LOCK
    lock.touch()
    os.utime(lock, (1000, 1000))
    with heartbeat.beating(store, Worker(), device="a CPU"):
        with contextlib.closing(sqlite3.connect(tmp_path / "pt4al.db", isolation_level=None)) as database:
            database.execute("BEGIN EXCLUSIVE")
            wait_until("the lock to be touched", lambda: lock.stat().st_mtime > 1000, seconds=20, every=0.01)
        os.utime(lock, (1000, 1000))
        row = store.worker()
        assert row is not None
        before = row.heartbeat_at

        def beats() -> bool:
            row = store.worker()
            return row is not None and row.heartbeat_at > before

        wait_until("the next heartbeat", beats, seconds=20, every=0.01)


def test_an_unexpected_error_does_not_stop_the_heartbeat(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[int] = []

    def beat(**_: object) -> None:
        calls.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(store, "beat", beat)
    with caplog.at_level(logging.ERROR), heartbeat.beating(store, Worker(), device="a CPU"):
        wait_until("a few heartbeats", lambda: len(calls) > 2, seconds=20, every=0.01)
    assert "The worker's heartbeat failed." in caplog.text
