"""C13: the data directory is emptied, replaced or unmounted under the running backend."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests
from support.disks import mounted
from support.filled_store import CONFIG, add_ranked
from support.processes import wait_until
from support.served import Backend, serve

from pt4al_backend.store.store import Store

BOUND = 15.0  # seconds until it is noticed
SAYS = "was emptied, replaced or unmounted while pt4al-backend ran"


def ask(backend: Backend, path: str) -> requests.Response:
    if path == "/setup":
        body = {"project": "3.1700000000", "schema": CONFIG, "hostname": "http://ls", "access_token": "t"}
        return requests.post(f"{backend.url}/setup", json=body, timeout=BOUND)
    return requests.get(f"{backend.url}{path}", timeout=BOUND)


def require_told(backend: Backend) -> None:
    """Every answer says so, and so does the console, of both processes, and nobody has ended."""
    for path in ("/setup", "/health", "/api/status", "/metrics", "/versions"):
        answer = ask(backend, path)
        assert (answer.status_code, SAYS in answer.json()["error"]) == (503, True), path
    page = ask(backend, "/dashboard")
    assert (page.status_code, page.headers["Content-Type"], SAYS in page.text) == (
        503,
        "text/html; charset=utf-8",
        True,
    )
    # On a busy machine an idle worker gets a few per cent of a core.
    wait_until("the worker to say so", lambda: said_by(backend, "worker", SAYS), seconds=4 * BOUND)
    assert said_by(backend, "web", SAYS)


def said_by(backend: Backend, process: str, sentence: str) -> bool:
    return any(f" {process} " in line and sentence in line for line in backend.log.read_text().splitlines())


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    """The tests change its data directory, one after the other; the last leaves it empty."""
    data = tmp_path_factory.mktemp("running") / "data"
    data.mkdir()
    with serve(None, data_dir=data, encoder="rotation") as backend:
        yield backend


@pytest.fixture
def backend(running: Backend) -> Iterator[Backend]:
    """A running one that knows project 12, with an empty log."""
    running.log.write_text("")
    with closing(Store(running.data_dir)) as store:
        if not store.find(12):
            add_ranked(store)
    wait_until("the worker to live", lambda: running.status()["worker"]["alive"], seconds=120)
    yield running
    assert "Traceback" not in running.log.read_text()


def test_one_that_is_away_for_a_while_is_gone_on_with(backend: Backend) -> None:
    worker, data = backend.worker(), backend.data_dir
    away = data.rename(data.with_name("away"))
    require_told(backend)
    data.mkdir()
    require_told(backend)
    data.rmdir()
    away.rename(data)
    assert ask(backend, "/health").status_code == 200
    assert backend.project(12) is not None
    wait_until("the worker to go on", lambda: backend.status()["worker"]["alive"], seconds=BOUND)
    assert backend.worker() == worker


def test_a_backup_that_takes_its_place_is_gone_on_with(backend: Backend) -> None:
    worker, data = backend.worker(), backend.data_dir
    with closing(Store(data.with_name("backup"))) as store:
        add_ranked(store, 13)
    shutil.rmtree(data)
    data.with_name("backup").rename(data)
    wait_until("the backup to be served", lambda: ask(backend, "/health").status_code == 200, seconds=BOUND)
    assert (backend.project(12), backend.project(13)["project"]) == (None, 13)
    wait_until("another worker", lambda: backend.worker() not in (None, worker), seconds=120)
    wait_until("it to live", lambda: backend.status()["worker"]["alive"], seconds=120)
    assert "was replaced while pt4al-backend ran" in backend.log.read_text()


def test_one_that_is_emptied_stays_empty(backend: Backend) -> None:
    worker = backend.worker()
    for path in backend.data_dir.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    require_told(backend)
    time.sleep(2)
    assert backend.worker() == worker
    assert not [path.name for path in backend.data_dir.iterdir()]


def test_a_disk_that_is_unmounted_gets_nothing_below_it(start_backend: Callable[..., Backend], tmp_path: Path) -> None:
    data = tmp_path / "data"
    with mounted(data, megabytes=8) as disk:
        backend = start_backend(None, data_dir=disk)
        wait_until("the worker to live", lambda: backend.status()["worker"]["alive"], seconds=120)
    require_told(backend)
    assert not list(data.iterdir())
