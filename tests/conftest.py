"""Fixtures for the tests that go through the front door: Label Studio, the backend, a browser."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from support.processes import MARK, strays, tail
from support.served import Backend, serve
from support.studio import Studio

LOGS = pytest.StashKey[list[Path]]()

# Of torch, here and in every process that is started: networks as small as those of the tests gain nothing by a second
# thread, and on a busy machine two of them spend several times the work waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LOGS] = []
    # A plain SIGTERM would end pytest without its fixtures' ends, and leave Label Studio running.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Put the ends of Label Studio's and the backend's logs under a failed test."""
    report = yield
    if report.failed:
        for log in item.config.stash[LOGS]:
            if log.exists():
                report.sections.append((f"end of {log.name}", tail(log)))
    return report


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """First to begin and so last to end: whatever a test started has to be gone by then."""
    os.environ[MARK] = mark = uuid.uuid4().hex
    yield
    psutil.wait_procs(strays(mark), timeout=5)
    left = [(process, process.cmdline()) for process in strays(mark)]
    for process, _ in left:
        process.kill()
    assert not left, f"left running after the tests: {left}"


@pytest.fixture(scope="session")
def label_studio(pytestconfig: pytest.Config) -> Iterator[Studio]:
    """The Label Studio all tests share; each makes projects of its own."""
    with Studio.start() as studio:
        pytestconfig.stash[LOGS].append(studio.log)
        yield studio


@pytest.fixture
def start_backend(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Callable[..., Backend]]:
    """`start_backend(studio, **settings)`: see `served.serve`; `data_dir` is a fresh one unless given."""
    with ExitStack() as running:

        def start(studio: Studio | None, *, data_dir: Path | None = None, **settings: object) -> Backend:
            folder = data_dir or tmp_path / f"backend-{uuid.uuid4().hex[:8]}"
            backend = running.enter_context(serve(studio, data_dir=folder, **settings))
            logs = pytestconfig.stash[LOGS]
            logs.append(backend.log)
            running.callback(logs.remove, backend.log)
            return backend

        yield start


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Debian's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sentence = "The browser test needs Chromium: apt-get install chromium"
        pytest.fail(sentence) if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip(sentence)
    return path
