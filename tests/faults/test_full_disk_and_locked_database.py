"""C10: a locked database and a full disk are told of, and end nothing."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import requests
from support.disks import fill, locked, mounted
from support.filled_store import CONFIG, add_ranked
from support.processes import wait_until
from support.served import Backend
from support.threaded_worker import OWN_NETWORKS, ThreadedWorker

from pt4al_backend.reports.status import ALIVE_FOR
from pt4al_backend.store.store import WORKER_LOCK, Store

BOUND = 5.0  # seconds until an answer
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


@pytest.mark.parametrize(("stage", "leave"), [("images", 100_000), ("pretext", 0), ("training", 100_000)])
def test_the_worker_outlives_a_full_disk_whatever_it_does(tmp_path: Path, stage: str, leave: int) -> None:
    with mounted(tmp_path / "data", megabytes=24) as disk:
        rig = ThreadedWorker(disk, **OWN_NETWORKS)
        with rig.running() as thread:
            if stage == "training":
                wait_until("the first order", rig.published, seconds=120)
                rig.platform.label(rig.platform.queue[0])
                wait_until("the label to be seen", lambda: rig.shown()["labelled"] == 1, seconds=60)
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


def test_a_disk_that_is_full_while_images_are_embedded_is_told_of(tmp_path: Path) -> None:
    with mounted(tmp_path / "data", megabytes=24) as disk:
        rig = ThreadedWorker(disk)
        with rig.running() as thread:
            wait_until(
                "the encoder", lambda: rig.shown()["encoder"] == "efficientnet_lite0" and rig.is_sized, seconds=120
            )
            ballast = fill(disk)
            wait_until("the status to tell of it", lambda: rig.stage() == "error", seconds=60)
            assert rig.shown()["error"] == f"The disk with {disk} is full: free some space, and work resumes by itself."
            assert thread.is_alive() and not rig.published()
            ballast.unlink()
            wait_until("it to be done", rig.done, seconds=180)
            assert (rig.shown()["encoder"], rig.shown()["ranked"]) == ("efficientnet_lite0", 60)


def test_the_worker_outlives_a_locked_database(tmp_path: Path) -> None:
    rig = ThreadedWorker(tmp_path, **OWN_NETWORKS)
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
