"""C10: a locked database and a full disk are told of, and end nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest
import requests
from support.disks import fill, locked, mounted
from support.filled_store import CONFIG, add_ranked
from support.known_labels import KnownLabels
from support.processes import wait_until
from support.served import Backend

from pt4al_backend.processes.scheduler import Stop, Worker
from pt4al_backend.reports.status import ALIVE_FOR, status
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import WORKER_LOCK, Store

BOUND = 5.0  # seconds until an answer
QUICK = {
    "encoder": "rotation",
    "cycles": 3,
    "query_size": 3,
    "slack": 3,
    "pretext_epochs": 1,
    "main_epochs": 60,
    "device": "cpu",
}
TOKEN = "a-t0ken"


def setup(backend: Backend, number: int) -> requests.Response:
    body = {"project": f"{number}.1700000000", "schema": CONFIG, "hostname": "http://ls", "access_token": TOKEN}
    return requests.post(f"{backend.url}/setup", json=body, timeout=30)


def timed(ask: Callable[[], requests.Response]) -> tuple[float, requests.Response]:
    began = time.monotonic()
    answer = ask()
    return time.monotonic() - began, answer


@pytest.mark.alone
def test_a_locked_database_is_a_503_in_time_for_everybody(start_backend: Callable[..., Backend]) -> None:
    backend = start_backend(None, command="web")
    assert setup(backend, 1).status_code == 200
    start = {"action": "START_TRAINING", "project": {"id": 1, "created_at": "2023-11-14T22:13:20Z"}}
    asks = [lambda: setup(backend, 2), lambda: requests.post(f"{backend.url}/webhook", json=start, timeout=30)] * 10
    with locked(backend.data_dir / "pt4al.db"), ThreadPoolExecutor(len(asks)) as clients:
        for seconds, answer in clients.map(timed, asks):
            assert seconds < BOUND
            assert answer.status_code == 503
            assert answer.json() == {
                "error": "The database is locked by another program: stop that program, or try again."
            }
            assert answer.reason == answer.json()["error"]
        assert requests.get(f"{backend.url}/dashboard", timeout=BOUND).status_code == 200
    assert setup(backend, 2).status_code == 200
    assert TOKEN not in backend.log.read_text()


@pytest.mark.alone
def test_a_full_disk_is_a_503_and_on_every_page(start_backend: Callable[..., Backend], tmp_path: Path) -> None:
    with mounted(tmp_path / "data", megabytes=3) as disk:
        with closing(Store(disk)) as store:
            project = add_ranked(store)
        backend = start_backend(None, command="web", data_dir=disk)
        assert backend.status()["disk"] == {"error": ""}
        assert backend.project(project.number)["stage"] == "ready"
        ballast = fill(disk)
        seconds, answer = timed(lambda: setup(backend, 1))
        assert (answer.status_code, seconds < BOUND) == (503, True)
        assert answer.json()["error"] == f"The disk with {disk} is full: free some space, and work resumes by itself."
        wait_until("the status to tell of it", lambda: backend.status()["disk"]["error"], seconds=BOUND)
        shown = backend.project(project.number)
        assert (shown["stage"], shown["error"]) == ("error", answer.json()["error"])
        assert "is full: free some space" in requests.get(f"{backend.url}/dashboard", timeout=BOUND).text
        ballast.unlink()
        wait_until("it to go on", lambda: backend.project(project.number)["stage"] == "ready", seconds=BOUND)
        assert setup(backend, 1).status_code == 200
        backend.stop()


class Rig:
    """A worker in a thread, for a platform in memory."""

    def __init__(self, directory: Path, *, patience: float = 0.3) -> None:
        self.settings = Settings(data_dir=directory, poll_interval=0.05, idle_interval=0.1, **QUICK)
        self.store = Store(directory, patience=patience)
        self.platform = KnownLabels(60)
        self.store.connect(url="http://x", number=1, created="1", access_token="", label_config="")
        self.worker = Worker(self.settings, self.store, lambda _project, _lock: self.platform)

    @contextmanager
    def running(self) -> Iterator[threading.Thread]:
        stop = Stop()
        thread = threading.Thread(target=self.worker.run, args=(stop,))
        thread.start()
        try:
            yield thread
        finally:
            stop.request()
            thread.join()
            self.worker.close()
            self.store.close()

    def stage(self) -> str:
        (project,) = status(self.store, self.settings)["projects"]
        return str(project["stage"])

    def published(self) -> bool:
        return bool(self.platform.published)

    def done(self) -> bool:
        return self.stage() == "ready" and self.published() and not self.worker.trouble


@pytest.mark.parametrize(("stage", "leave"), [("images", 100_000), ("pretext", 0), ("training", 100_000)])
def test_the_worker_outlives_a_full_disk_whatever_it_does(tmp_path: Path, stage: str, leave: int) -> None:
    with mounted(tmp_path / "data", megabytes=24) as disk:
        rig = Rig(disk)
        with rig.running() as thread:
            if stage == "training":
                wait_until("the first order", rig.published, seconds=120)
                rig.platform.label(rig.platform.queue[0])
                rig.store.wake([1], train=True)
            wait_until(stage, lambda: rig.stage() == stage, seconds=120, every=0.01)
            ballast = fill(disk, leave=leave)
            if not leave:
                wait_until("the status to tell of it", lambda: rig.stage() == "error", seconds=15)
                wait_until("the worker to wait", lambda: "is full" in rig.worker.trouble, seconds=15)
            else:
                time.sleep(3)
            assert thread.is_alive()
            ballast.unlink()
            wait_until("it to be done", rig.done, seconds=180)
            assert thread.is_alive()


def test_the_worker_outlives_a_locked_database(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    with rig.running() as thread:
        wait_until("it to begin", lambda: rig.stage() != "waiting", seconds=120)
        with locked(tmp_path / "pt4al.db"):
            wait_until("the worker to wait", lambda: "locked" in rig.worker.trouble, seconds=30)
            assert thread.is_alive()
        wait_until("the first order", rig.published, seconds=120)


def test_a_worker_that_cannot_write_still_counts_as_alive(start_backend: Callable[..., Backend]) -> None:
    backend = start_backend(None)
    wait_until("the worker to live", lambda: backend.status()["worker"]["alive"], seconds=120)
    worker = backend.worker()
    assert worker is not None
    with locked(backend.data_dir / "pt4al.db"):
        sign = backend.data_dir / WORKER_LOCK
        for _ in range(2):  # without one it counts as gone ALIVE_FOR seconds after the last
            last = sign.stat().st_mtime
            wait_until("another sign of life", lambda last=last: sign.stat().st_mtime > last, seconds=ALIVE_FOR)
        assert backend.status()["worker"]["alive"]
    assert backend.worker() == psutil.Process(worker.pid)
