"""Which project has its turn, and what is done about one that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pt4al_backend import learning
from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.errors import (
    DataReplacedError,
    LabelStudioUnavailableError,
    ProjectGoneError,
    PT4ALError,
    StoreError,
    UnsupportedConfigError,
)
from pt4al_backend.labelling.platform import LabellingPlatform
from pt4al_backend.net.addresses import without_userinfo
from pt4al_backend.processes.backoff import delay
from pt4al_backend.processes.turns import FairLock, TurnThread
from pt4al_backend.settings import Settings
from pt4al_backend.store import disk, tables
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

SLICE = 0.25  # seconds of slow work before the next look around …
SLICE_MOST = 2.0  # … or more, where looking around itself takes long
GONE_FOR = 120.0  # seconds a project has to be away before it is forgotten
SETTLED = 10.0  # seconds a project has to be without a connection to be shown so: /setup comes before it is saved
BACKOFF_MOST = 60.0  # seconds between tries of a step that keeps failing
ENDING = 2.0  # seconds that projects have to put down what they are at
PAUSE = 0.1  # seconds between turns when there is nothing to do
STORE_PAUSE = 1.0  # seconds between turns while the disk or the database cannot be used
NOT_CONNECTED = "Not connected in Label Studio: connect it under the project's Settings > Model, and it goes on."
PlatformFactory = Callable[[Project, FairLock], LabellingPlatform]
"""Makes the platform of a project; the lock is released while its answers are waited for."""


@dataclass
class Attempt:
    """One of the three steps of a loop: when it may run next, and what went wrong the last time."""

    not_before: float = 0.0
    failures: int = 0
    error: str = ""
    transient: bool = True

    def failed(self, error: str, *, transient: bool) -> None:
        """Wait twice as long as the last time before trying again."""
        self.failures += 1
        self.error, self.transient = error, transient
        self.not_before = time.monotonic() + delay(self.failures + 1, most=BACKOFF_MOST)

    def succeeded(self) -> None:
        """Forget past trouble."""
        self.failures, self.error = 0, ""


@dataclass
class Opening(Attempt):
    """The connecting of a project, in answer to a wake-up."""

    woken_at: float = 0.0


@dataclass
class ProjectSlot:
    """A project's loop and when to look at the project again."""

    loop: ProjectLoop
    number: int  # the project's id in Label Studio
    connection: tuple[str, str]  # its Label Studio, and the token that came with it
    woken_at: float
    look: Attempt = field(default_factory=Attempt)
    steer: Attempt = field(default_factory=Attempt)
    work: Attempt = field(default_factory=Attempt)
    interval: float = 0.0
    looked_for: float = 0.0  # the wake-up that the last look answered
    gone_since: float | None = None
    unconnected_since: float | None = None
    shown: tuple[str, bool] | None = None  # the error that the project's row has; None: it may have another

    def look_at(self) -> bool:
        """Look at the project; one that is not connected rests. True if anything changed."""
        if self.loop.workspace.platform.is_connected():
            self.unconnected_since = None
            return self.loop.look()
        self.unconnected_since = self.unconnected_since or time.monotonic()
        self.loop.close()
        return False

    @property
    def is_left(self) -> bool:
        """Whether it has been without a connection for more than a moment."""
        return self.unconnected_since is not None and time.monotonic() - self.unconnected_since >= SETTLED

    def error(self) -> tuple[str, bool]:
        """The first thing that is wrong, and whether it may pass by itself."""
        if self.is_left:
            return NOT_CONNECTED, False
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
        self.device = learning.resolve_device(settings.device)
        self._lock = FairLock()
        self._turn_threads: dict[int, TurnThread] = {}
        self._slots: dict[int, ProjectSlot] = {}
        self._openings: dict[int, Opening] = {}  # those that have failed
        self.trouble = ""
        """Why all wait: the disk or the database cannot be used."""
        self._halted: StoreError | None = None  # what a project's turn ended with

    def run(self, stop: Stop) -> None:
        """Go round until asked to stop. A disk or a database that cannot be used is waited for, with all jobs kept.

        Raises `DataReplacedError` where another database is there now: what is under way belongs to the old one.
        """
        while not stop.asked:
            try:
                self._store.require_usable()
                busy = self.turn()
                if self._halted:
                    raise self._halted
            except DataReplacedError:
                raise
            except StoreError as error:
                self._tell_of(str(error))
                self._halted = None
                time.sleep(STORE_PAUSE)
            else:
                self._tell_of("")
                if not busy:
                    time.sleep(PAUSE)

    def _tell_of(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.error("%s", trouble)
        elif self.trouble and not trouble:
            logger.info("The data directory can be used again; going on.")
        self.trouble = trouble

    def close(self) -> None:
        """Abandon all jobs; what they did so far is in the store."""
        with self._lock.held():
            self._lock.close()
            until = time.monotonic() + ENDING
            for project_id, thread in self._turn_threads.items():
                if not thread.running or thread.ends(until - time.monotonic()):
                    self._drop(project_id)
                thread.finish()

    def turn(self) -> bool:
        """One turn for every project but those that wait for their Label Studio. True if there is slow work left."""
        with self._lock.held():
            wakes = self._store.wake_times()
            for project_id in self._turn_threads.keys() - wakes.keys():  # it was reset
                self._turn_threads.pop(project_id).finish(partial(self._drop, project_id))
            for project_id, wake_at in wakes.items():
                if project_id not in self._turn_threads:
                    self._turn_threads[project_id] = TurnThread(self._lock, f"project-{project_id}")
                self._turn_threads[project_id].submit(partial(self._turn_of, project_id, wake_at))
        self._lock.wait_until_free()
        return any(thread.has_more for thread in self._turn_threads.values())

    def _drop(self, project_id: int) -> bool:
        self._openings.pop(project_id, None)
        slot = self._slots.pop(project_id, None)
        if slot is not None:
            slot.loop.close()
        return False

    def _turn_of(self, project_id: int, wake_at: float) -> bool:
        try:
            return self._steps_of(project_id, wake_at)
        except StoreError as error:  # it is no project's: all of them wait
            self._halted = error
            return False

    def _steps_of(self, project_id: int, wake_at: float) -> bool:
        slot = self._slots.get(project_id)
        if (slot is None or slot.woken_at != wake_at) and not self._open(project_id, wake_at):
            return False
        slot = self._slots[project_id]
        began = time.monotonic()
        self._look(slot, wake_at)
        busy = False
        if slot.is_left and not self._has_begun(project_id):
            self._forget(slot)
        elif slot.loop.has_looked and slot.unconnected_since is None:
            self._try(slot, slot.steer, slot.loop.steer)
            # As long again as the quick steps took: a slow Label Studio must not starve training.
            share = min(max(SLICE, time.monotonic() - began), SLICE_MOST)
            busy = self._try(slot, slot.work, lambda: slot.loop.work(share)) or False
        if project_id in self._slots and slot.error() != slot.shown:
            self._show_error(project_id, slot)
        return busy

    def _open(self, project_id: int, wake_at: float) -> bool:
        """Make a project's slot, or connect it anew where a wake-up has brought another address or token."""
        opening = self._openings.setdefault(project_id, Opening())
        if opening.woken_at == wake_at and time.monotonic() < opening.not_before:
            return False
        opening.woken_at = wake_at
        project = self._store.project(project_id)
        if project is None:
            return False
        if self._has_moved(project.label_studio_url):
            project = self._moved(project)
        slot, connection = self._slots.get(project_id), (project.label_studio_url, project.access_token)
        if slot and slot.connection == connection:
            slot.woken_at, slot.shown = wake_at, None
            del self._openings[project_id]
            return True
        try:
            platform = self._platform_for(project, self._lock)
        except Exception as error:  # as in _try
            if not isinstance(error, PT4ALError):
                logger.exception("project %d", project_id)
            opening.failed(self._told_of(project.label_studio_url, _told(error)), transient=False)
            if project.error != opening.error:
                self._store.update(project_id, stage=tables.ERROR, error=opening.error)
            return False
        del self._openings[project_id]
        if slot is None:
            workspace = Workspace(project_id, self._store, platform, self._settings, self.device, self._lock.released)
            self._slots[project_id] = ProjectSlot(ProjectLoop(workspace), project.number, connection, wake_at)
        else:
            slot.loop.workspace.platform = platform
            slot.connection, slot.woken_at, slot.look, slot.shown = connection, wake_at, Attempt(), None
        return True

    def _look(self, slot: ProjectSlot, wake_at: float) -> None:
        """Look when woken, or every few seconds: often while things change, seldom while they do not."""
        woken = wake_at != slot.looked_for and not slot.look.failures
        if not woken and time.monotonic() < slot.look.not_before:
            return
        changed = self._try(slot, slot.look, slot.look_at)
        if slot.look.failures:
            return
        slot.gone_since, slot.looked_for = None, wake_at
        longer = min(slot.interval * 1.3, self._settings.idle_interval)
        slot.interval = self._settings.poll_interval if changed or woken or not longer else longer
        # Where tasks are left, the next turn goes on with them.
        rests = slot.loop.has_looked or slot.unconnected_since is not None
        slot.look.not_before = time.monotonic() + (slot.interval if rests else 0.0)
        if changed or woken:  # what failed may be mended now
            slot.steer.not_before = slot.work.not_before = 0.0

    def _try(self, slot: ProjectSlot, step: Attempt, action: Callable[[], bool | None]) -> bool | None:
        if step is not slot.look and time.monotonic() < step.not_before:
            return None
        try:
            result = action()
        except ProjectGoneError as error:
            self._gone(slot, step, error)
        except StoreError:
            raise
        except LabelStudioUnavailableError as error:
            step.failed(self._told_of(slot.connection[0], str(error)), transient=True)
        except PT4ALError as error:
            step.failed(str(error), transient=False)
        except Exception as error:  # shown on every page and tried again: one project must not stop the others
            logger.exception("project %d", slot.loop.workspace.project_id)
            step.failed(_told(error), transient=False)
        else:
            step.succeeded()
            return result
        return None

    def _gone(self, slot: ProjectSlot, step: Attempt, error: ProjectGoneError) -> None:
        """Forget a project that stays away: a Label Studio that starts on the wrong disk has none for a while."""
        now = time.monotonic()
        slot.gone_since = slot.gone_since or now
        if now - slot.gone_since < GONE_FOR:
            step.failed(f"{error} It is forgotten when it stays away for {GONE_FOR:.0f} seconds.", transient=False)
            return
        logger.warning("%s It is forgotten.", error)
        self._forget(slot)

    def _has_moved(self, url: str) -> bool:
        """Whether a project's Label Studio is another than the one of the settings."""
        return bool(self._settings.label_studio_url) and url != self._settings.label_studio_url

    def _moved(self, project: Project) -> Project:
        """The project at the address in the settings, if it has no token of its own and is found there."""
        if not project.created or project.access_token:
            return project
        url, number, created = self._settings.label_studio_url, project.number, project.created
        there = Project(id=project.id, label_studio_url=url, number=number, created=created, access_token="")
        try:
            self._platform_for(there, self._lock).project()
        except UnsupportedConfigError:
            pass  # it is there
        except PT4ALError as error:
            logger.info("project %d is not at %s: %s", number, without_userinfo(url), error)
            return project
        found = self._store.connect(
            url=url, number=number, created=created, access_token="", label_config="", only=True
        )
        return found if found.id == project.id else project  # else it was connected there as well

    def _told_of(self, url: str, error: str) -> str:
        if not self._has_moved(url):
            return error
        ours = without_userinfo(self._settings.label_studio_url)
        return f"{error} If it now is at {ours}, open the project's Settings > Model page there."

    def _has_begun(self, project_id: int) -> bool:
        """Whether anything is known of the project but that somebody asked us to serve it."""
        project = self._store.project(project_id)
        return project is None or bool(project.cursor)

    def _forget(self, slot: ProjectSlot) -> None:
        self._drop(slot.loop.workspace.project_id)
        self._store.forget(slot.loop.workspace.project_id)

    def _show_error(self, project_id: int, slot: ProjectSlot) -> None:
        error, transient = slot.error()
        failing = bool(error) and not transient
        if error:
            logger.warning("project %d: %s", slot.number, error)
        self._store.update(project_id, error=error, **({"stage": tables.ERROR} if failing else {}))
        slot.loop.failing = failing  # once it is shown
        slot.shown = error, transient

    @property
    def busy_with(self) -> str:
        """What is under way, for people. May be asked from another thread."""
        loops = [(slot.number, slot.loop.busy_with) for slot in list(self._slots.values())]
        return ", ".join(f"project {number}: {stage}" for number, stage in loops if stage)


def _told(error: Exception) -> str:
    if isinstance(error, PT4ALError):
        return str(error)
    if isinstance(error, OSError) and error.errno in disk.DISK_ERRORS and error.filename:
        return disk.told(error, Path(str(error.filename)))
    return f"Unexpected {type(error).__name__}; the worker's log has the details."
