"""Fixtures for the tests that go through the front door: Label Studio, the backend, a browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect, sync_playwright
from support.known_projects import QUICK
from support.machine import machine
from support.processes import MARK, strays, tail
from support.served import Backend, serve
from support.studio import Studio
from support.studio_database import migrated_database

from pt4al_backend.store.store import Store

expect.set_options(timeout=60_000)  # milliseconds: a busy machine takes longer than the usual five seconds

LOGS = pytest.StashKey[list[Path]]()
MACHINE = pytest.StashKey[ExitStack]()
ALONE = pytest.StashKey[bool]()
TESTS = Path(__file__).parent
MARKED_BY_FIXTURE = {"empty_database": "label_studio", "chromium": "browser", "start_backend": "slow", "web": "slow"}
"""Which marker a test gets for a fixture that it uses, directly or through another one."""

SLOW = (
    "active_learning",
    "demo",
    "faults",
    "learning",
    "processes",
    "reports/test_check.py",
    "reports/test_running_backend.py",
    "simulate",
    "store/test_decoders.py",
    "store/test_migrate.py",
    "test_benchmark_datasets.py",
    "test_cli.py",
    "test_docker.py",
    "test_packaging.py",
    "test_release.py",
    "test_torch_index.py",
    "test_wsgi.py",
)
"""Where `slow` tests are: they train, or start processes and wait for them."""

NOT_QUICK = ("label_studio", "browser", "slow")
"""Markers of the tests that `--quick` leaves out."""

LONG = ("label_studio", "slow")
"""Markers of the tests that run first, so that short ones are left for the end, when workers run out of tests."""

MEASURED = (
    "demo/test_demo_end_to_end.py",
    "processes/test_child.py",
    "processes/test_supervisor.py",
    "processes/test_web_server.py",
    "reports/test_running_backend.py",
    "store/test_decoder_process.py",
    "test_cli.py",
    "test_wsgi.py",
)
"""Where the coverage of the processes that tests start is measured, too."""

MEASURING = "COVERAGE_PROCESS_CONFIG"
"""The environment variable by which coverage.py's `patch = subprocess` reaches processes."""

# Of torch, here and in every process that is started: networks as small as those of the tests gain nothing by a second
# thread, and on a busy machine two of them spend several times the work waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="leave out tests with a Label Studio or a browser, and slow ones"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Without slow tests, do not even import their modules and what these import."""
    is_slow = collection_path != TESTS and is_in_slow(collection_path)
    return True if config.getoption("quick") and is_slow else None


def is_in_slow(path: Path) -> bool:
    relative = path.relative_to(TESTS)
    return relative.parts[0] in SLOW or relative.as_posix() in SLOW


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LOGS] = []
    config.stash[MACHINE] = ExitStack()
    if "PYTEST_XDIST_WORKER" not in os.environ:
        os.environ[MARK] = uuid.uuid4().hex
    # A plain SIGTERM would end pytest without its fixtures' ends, and leave Label Studio running.
    signal.signal(signal.SIGTERM, lambda *_: pytest.exit("terminated", returncode=143))


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    """Where a run is broken off, its workers end without their fixtures' ends, and leave Label Studios running."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        for process in strays(os.environ[MARK]):
            process.kill()


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests by what they use, and say which of them belong on one worker, the longest first.

    The tests of a module stay together for the sake of its fixtures. Those with a Label Studio take long, and are
    handed out one by one, unless their module has an expensive fixture and so names a group itself.
    """
    for item in items:
        for fixture, marker in MARKED_BY_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(marker)
        if is_in_slow(item.path):
            item.add_marker("slow")
        if is_marked(item, "alone"):
            item.add_marker(pytest.mark.xdist_group("alone"))
        elif not is_marked(item, "label_studio") and not is_marked(item, "xdist_group"):
            item.add_marker(pytest.mark.xdist_group(item.path.name))
    if config.getoption("quick"):
        left_out = {item for item in items if any(is_marked(item, marker) for marker in NOT_QUICK)}
        config.hook.pytest_deselected(items=[*left_out])
        items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: [is_marked(item, "alone"), *(not is_marked(item, mark) for mark in LONG)])


def is_marked(item: pytest.Item | None, marker: str) -> bool:
    return item is not None and item.get_closest_marker(marker) is not None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Keep other workers from running tests beside one that is to be alone, and the next one that is."""
    held, alone = item.config.stash[MACHINE], is_marked(item, "alone")
    if not item.config.stash.get(ALONE, False):
        held.enter_context(machine(alone=alone))
    item.config.stash[ALONE] = alone and is_marked(nextitem, "alone")
    try:
        return (yield)
    finally:
        if not item.config.stash[ALONE]:
            held.close()


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
def _measuring() -> Iterator[str | None]:
    """The variable of coverage.py, taken from the environment: measuring doubles the time that small processes take."""
    with pytest.MonkeyPatch.context() as patch:
        config = os.environ.get(MEASURING)
        patch.delenv(MEASURING, raising=False)
        yield config


@pytest.fixture(scope="module", autouse=True)
def _processes_measured(request: pytest.FixtureRequest, _measuring: str | None) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if _measuring is not None and request.path.relative_to(TESTS).as_posix() in MEASURED:
            patch.setenv(MEASURING, _measuring)
        yield


@pytest.fixture(autouse=True)
def _same_umask() -> Iterator[None]:
    """A test that keeps files private in this process does not do so for those after it."""
    before = os.umask(0)
    os.umask(before)
    yield
    os.umask(before)


@pytest.fixture(scope="session", autouse=True)
def _nothing_left_running() -> Iterator[None]:
    """First to begin and so last to end: whatever a test started has to be gone by then."""
    os.environ[MARK] = mark = f"{os.environ[MARK]} {os.environ.get('PYTEST_XDIST_WORKER', '')}"
    yield
    psutil.wait_procs(strays(mark), timeout=20)
    left = [(process, process.cmdline()) for process in strays(mark)]
    for process, _ in left:
        process.kill()
    assert not left, f"left running after the tests: {left}"


@pytest.fixture(scope="session")
def empty_database() -> Path:
    """The database that every Label Studio of the tests starts with a copy of."""
    return migrated_database()


@pytest.fixture(scope="session")
def start_studio(empty_database: Path) -> Callable[..., AbstractContextManager[Studio]]:
    """`start_studio(**options)`: a Label Studio of the test's own, see `Studio.start`."""
    return Studio.start


@pytest.fixture(scope="session")
def label_studio(
    pytestconfig: pytest.Config, start_studio: Callable[..., AbstractContextManager[Studio]]
) -> Iterator[Studio]:
    """The Label Studio that all tests of a worker share; each makes projects of its own."""
    with start_studio() as studio:
        pytestconfig.stash[LOGS].append(studio.log)
        yield studio


@pytest.fixture
def start_backend(tmp_path: Path, pytestconfig: pytest.Config) -> Iterator[Callable[..., Backend]]:
    """`start_backend(studio, **settings)`: see `served.serve`; `data_dir` is a fresh one unless given."""
    with ExitStack() as running:

        def start(studio: Studio | None, *, data_dir: Path | None = None, **settings: object) -> Backend:
            folder = data_dir or tmp_path / f"backend-{uuid.uuid4().hex[:8]}"
            if studio is None:  # no project can be connected, so nothing need be prepared for one
                settings = {"encoder": "rotation"} | settings
            backend = running.enter_context(serve(studio, data_dir=folder, **settings))
            logs = pytestconfig.stash[LOGS]
            logs.append(backend.log)
            running.callback(logs.remove, backend.log)
            return backend

        yield start


@pytest.fixture(scope="session")
def _quick_backend(
    label_studio: Studio, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[Backend]:
    with serve(label_studio, data_dir=tmp_path_factory.mktemp("quick") / "backend", **QUICK) as backend:
        pytestconfig.stash[LOGS].append(backend.log)
        yield backend


@pytest.fixture
def backend(_quick_backend: Backend) -> Iterator[Backend]:
    """A backend of small steps for tests that leave it running and as it is; it forgets their projects."""
    yield _quick_backend
    with closing(Store(_quick_backend.data_dir)) as store:
        for project in store.projects():
            store.forget(project.id)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of Debian's Chromium."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        sentence = "The browser test needs Chromium: apt-get install chromium"
        pytest.fail(sentence) if os.environ.get("REQUIRE_BROWSER") == "1" else pytest.skip(sentence)
    return path


@pytest.fixture
def window(chromium: str) -> Iterator[Page]:
    """A browser's window."""
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        window = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
        window.set_default_timeout(60_000)
        yield window
        browser.close()


@pytest.fixture
def page(window: Page, label_studio: Studio) -> Page:
    """A window that is logged in to Label Studio."""
    window.goto(f"{label_studio.url}/user/login/")
    window.fill("input[name=email]", label_studio.username)
    window.fill("input[name=password]", label_studio.password)
    window.click("button[type=submit]")
    window.wait_for_url(re.compile(r"/(projects)?/?$"))
    return window
