"""The process that runs the loops of all projects, in turn, in one thread.

Training is cut into slices of a fraction of a second, so a refit or a publish of any project
waits for one training step at most. The process runs at a lower priority: the web process
answers while training burns every core.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pt4al_backend import learning
from pt4al_backend.errors import LabelStudioUnavailableError, ProjectGoneError, PT4ALError
from pt4al_backend.jobs import Bench
from pt4al_backend.labelling_platform import LabellingPlatform
from pt4al_backend.loop import ProjectLoop
from pt4al_backend.settings import Settings
from pt4al_backend.store import tables
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

SLICE = 0.25  # seconds of slow work before the next look around
BACKOFF_MOST = 60.0  # seconds between tries of a step that keeps failing
PAUSE = 0.1  # seconds between turns when there is nothing to do
NICENESS = 10

PlatformFactory = Callable[[Project], LabellingPlatform]


@dataclass
class Step:
    """One of the three steps of a loop: when it may run next, and what went wrong the last time."""

    not_before: float = 0.0
    failures: int = 0
    error: str = ""
    transient: bool = True

    def failed(self, error: str, *, transient: bool) -> None:
        """Wait twice as long as the last time before trying again."""
        self.failures += 1
        self.error, self.transient = error, transient
        self.not_before = time.monotonic() + min(2.0**self.failures, BACKOFF_MOST)

    def succeeded(self) -> None:
        """Forget past trouble."""
        self.failures, self.error = 0, ""


@dataclass
class Lane:
    """A project's loop and when to look at the project again."""

    loop: ProjectLoop
    look: Step = field(default_factory=Step)
    steer: Step = field(default_factory=Step)
    work: Step = field(default_factory=Step)
    interval: float = 0.0
    looked_for: float = 0.0  # the wake-up that the last look answered
    gone: int = 0

    def error(self) -> tuple[str, bool]:
        """The first thing that is wrong, and whether it may pass by itself."""
        for step in (self.look, self.steer, self.work):
            if step.error:
                return step.error, step.transient
        return "", True


class Stop:
    """A request to stop that a signal handler may leave at any moment."""

    asked = False

    def ask(self, *_: object) -> None:
        """Stop after this turn."""
        self.asked = True


class Worker:
    """Drives all loops of a store."""

    def __init__(self, settings: Settings, store: Store, platform_for: PlatformFactory) -> None:
        self._settings = settings
        self._store = store
        self._platform_for = platform_for
        try:
            self._device = learning.resolve_device(settings.device)
        except learning.LearningError as error:
            raise PT4ALError(str(error)) from None
        logger.info("worker on %s, data in %s", learning.describe_device(self._device), settings.data_dir)
        self._threads = ThreadPoolExecutor(settings.fetch_workers, thread_name_prefix="images")
        self._lanes: dict[int, Lane] = {}
        self._beat_at = 0.0

    def run(self, stop: Stop) -> None:
        """Go round until asked to stop."""
        while not stop.asked:
            busy = self.turn()
            self._beat()
            if not busy:
                time.sleep(PAUSE)

    def close(self) -> None:
        """Abandon all jobs; what they did so far is in the store."""
        for lane in self._lanes.values():
            lane.loop.close()
        self._threads.shutdown(cancel_futures=True)

    def turn(self) -> bool:
        """One turn for every project. True if there is slow work left."""
        wakes = self._store.wake_times()
        for project_id in self._lanes.keys() - wakes.keys():  # it was reset
            self._lanes.pop(project_id).loop.close()
        busy = False
        for project_id, wake_at in wakes.items():
            busy |= self._turn_of(project_id, wake_at)
        return busy

    def _turn_of(self, project_id: int, wake_at: float) -> bool:
        if project_id not in self._lanes and not self._open(project_id):
            return False
        lane = self._lanes[project_id]
        before = lane.error()
        self._look(lane, wake_at)
        busy = False
        if lane.loop.has_looked:
            self._try(lane, lane.steer, lane.loop.steer)
            busy = self._try(lane, lane.work, lambda: lane.loop.work(SLICE)) or False
        if project_id in self._lanes and lane.error() != before:
            self._show_error(project_id, lane)
        return busy

    def _open(self, project_id: int) -> bool:
        project = self._store.project(project_id)
        if project is None:
            return False
        try:
            platform = self._platform_for(project)
        except PT4ALError as error:
            if project.error != str(error):
                self._store.update(project_id, stage=tables.ERROR, error=str(error))
            return False
        bench = Bench(project_id, self._store, platform, self._settings, self._device, self._threads)
        self._lanes[project_id] = Lane(ProjectLoop(bench))
        return True

    def _look(self, lane: Lane, wake_at: float) -> None:
        """Look when woken, or every few seconds: often while things change, seldom while they do not."""
        woken = wake_at > lane.looked_for and not lane.look.failures
        if not woken and time.monotonic() < lane.look.not_before:
            return
        changed = self._try(lane, lane.look, lane.loop.look)
        if lane.look.failures:
            return
        lane.gone, lane.looked_for = 0, wake_at
        longer = min(lane.interval * 1.3, self._settings.idle_interval)
        lane.interval = self._settings.poll_interval if changed or woken or not longer else longer
        lane.look.not_before = time.monotonic() + lane.interval

    def _try(self, lane: Lane, step: Step, action: Callable[[], bool | None]) -> bool | None:
        if step is not lane.look and time.monotonic() < step.not_before:
            return None
        try:
            result = action()
        except ProjectGoneError as error:
            self._gone(lane, step, error)
        except LabelStudioUnavailableError as error:
            step.failed(str(error), transient=True)
        except (PT4ALError, learning.LearningError) as error:
            step.failed(str(error), transient=False)
        except Exception as error:  # shown on every page and tried again: one project must not stop the others
            logger.exception("project %d", lane.loop.bench.project_id)
            step.failed(f"Unexpected {type(error).__name__}; the worker's log has the details.", transient=False)
        else:
            step.succeeded()
            return result
        return None

    def _gone(self, lane: Lane, step: Step, error: ProjectGoneError) -> None:
        """Forget a project that was not there twice in a row."""
        lane.gone += 1
        if lane.gone < 2:
            step.failed(str(error), transient=True)
            return
        logger.warning("%s It is forgotten.", error)
        lane.loop.close()
        self._lanes.pop(lane.loop.bench.project_id, None)
        self._store.forget(lane.loop.bench.project_id)

    def _show_error(self, project_id: int, lane: Lane) -> None:
        error, transient = lane.error()
        if error:
            logger.warning("project %d: %s", project_id, error)
        if error and not transient:
            self._store.update(project_id, error=error, stage=tables.ERROR)
        else:
            self._store.update(project_id, error=error)

    def _beat(self) -> None:
        if time.monotonic() < self._beat_at:
            return
        self._beat_at = time.monotonic() + 2
        at_work = [lane.loop for lane in self._lanes.values() if lane.loop.busy_with]
        self._store.beat(
            device=learning.describe_device(self._device),
            busy_with=", ".join(f"project {loop.bench.project().number}: {loop.busy_with}" for loop in at_work),
        )


def run(settings: Settings) -> int:
    """The worker process. Returns at SIGTERM or SIGINT."""
    os.nice(NICENESS)
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.ask)
    store = Store(settings.data_dir, settings.database_url)
    with _only_worker(settings.data_dir):
        worker = Worker(settings, store, _label_studio_projects(settings))
        try:
            worker.run(stop)
        finally:
            worker.close()
            store.close()
    return 0


def _label_studio_projects(settings: Settings) -> PlatformFactory:
    from pt4al_backend.label_studio.project import LabelStudioProject

    return lambda project: LabelStudioProject.of(project, settings)


@contextmanager
def _only_worker(data_dir: Path) -> Iterator[None]:
    """Two workers on one store would undo each other's work."""
    with open(data_dir / "worker.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PT4ALError(
                f"Another worker already runs on {data_dir}. Stop it first, or set PT4AL_DATA_DIR to another directory."
            ) from None
        yield
