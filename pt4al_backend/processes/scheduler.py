"""Decides which project has its turn, and what happens to a project that fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing
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

SLICE = 0.25  # seconds of slow work in a turn …
SLICE_MOST = 2.0  # … or up to so many, if the quick steps took long
GONE_FOR = 120.0  # seconds that a project must be missing before it is forgotten
SETTLED = 10.0  # seconds without a connection before that is reported: /setup comes before the connection is saved
BACKOFF_MOST = 60.0  # seconds between two tries of a step that keeps failing
ENDING = 2.0  # seconds that projects have to end their turns
PAUSE = 0.1  # seconds between turns when there is nothing to do
STORE_PAUSE = 1.0  # seconds between turns while the disk or the database cannot be used
NOT_CONNECTED = "Not connected in Label Studio: connect the backend under the project's Settings > Model to resume."
PlatformFactory = Callable[[Project, FairLock], LabellingPlatform]
"""Creates the platform of a project; the platform releases the lock while it waits for responses."""


@dataclass
class Attempt:
    """The back-off of a loop's step: when it may run next, and what went wrong the last time."""

    not_before: float = 0.0
    """Seconds of the monotonic clock."""
    failures: int = 0
    """How often it has failed in a row."""
    error: str = ""
    transient: bool = True
    """Whether the error may disappear by itself."""

    def failed(self, error: str, *, transient: bool) -> None:
        """Wait twice as long as the last time before the next try."""
        self.failures += 1
        self.error, self.transient = error, transient
        self.not_before = time.monotonic() + delay(self.failures + 1, most=BACKOFF_MOST)

    def succeeded(self) -> None:
        """Forget earlier errors."""
        self.failures, self.error = 0, ""


@dataclass
class Opening(Attempt):
    """An attempt to create a project's platform after a wake-up."""

    woken_at: float = 0.0
    """The wake-up."""


@dataclass
class ProjectSlot:
    """A project's loop, and when each of its steps may run next."""

    loop: ProjectLoop
    number: int
    """The project's id in Label Studio."""
    connection: tuple[str, str]
    """The address of its Label Studio, and the token that came with it."""
    woken_at: float
    """The wake-up that the connection is from."""
    sync: Attempt = field(default_factory=Attempt)
    update_queue: Attempt = field(default_factory=Attempt)
    work: Attempt = field(default_factory=Attempt)
    interval: float = 0.0
    """Seconds until the next sync."""
    synced_for: float = 0.0
    """The wake-up that the last sync answered."""
    gone_since: float | None = None
    """When the project was first missing in Label Studio; None if it exists."""
    unconnected_since: float | None = None
    """Since when the backend is not connected in Label Studio; None if it is."""
    shown: tuple[str, bool] | None = None
    """The error in the project's row; None if that may be another."""

    def sync_project(self) -> bool:
        """Sync the project, or stop all its work if it is not connected.

        Returns:
            Whether anything changed.
        """
        if self.loop.workspace.platform.is_connected():
            self.unconnected_since = None
            return self.loop.sync()
        self.unconnected_since = self.unconnected_since or time.monotonic()
        self.loop.close()
        return False

    @property
    def is_disconnected(self) -> bool:
        """Whether it has been without a connection for more than a moment."""
        return self.unconnected_since is not None and time.monotonic() - self.unconnected_since >= SETTLED

    def error(self) -> tuple[str, bool]:
        """The first error of a step, and whether it may disappear by itself."""
        if self.is_disconnected:
            return NOT_CONNECTED, False
        for step in (self.sync, self.update_queue, self.work):
            if step.error:
                return step.error, step.transient
        return "", True


class Stop:
    """A request to stop; a signal handler may make it at any moment."""

    requested = False

    def request(self, *_: object) -> None:
        """Stop after the current turn."""
        self.requested = True


class Worker:
    """Runs the loops of all projects of a store."""

    def __init__(self, settings: Settings, store: Store, platform_for: PlatformFactory) -> None:
        self._settings = settings
        self._store = store
        self._platform_for = platform_for
        self.device = learning.resolve_device(settings.device)
        self._lock = FairLock()
        self._turn_threads: dict[int, TurnThread] = {}
        self._slots: dict[int, ProjectSlot] = {}
        self._openings: dict[int, Opening] = {}  # only those that have failed
        self.trouble = ""
        """Why all projects wait: the disk or the database cannot be used. "" if they can."""
        self._halted: StoreError | None = None  # the error that ended a project's turn

    def run(self, stop: Stop) -> None:
        """Take turns until asked to stop. While the disk or the database cannot be used, wait and keep all jobs.

        Raises:
            DataReplacedError: The database was replaced, so that the jobs under way belong to the old one.
        """
        while not stop.requested:
            try:
                self._store.require_usable()
                busy = self.turn()
                if self._halted:
                    raise self._halted
            except DataReplacedError:
                raise
            except StoreError as error:
                self._set_trouble(str(error))
                self._halted = None
                time.sleep(STORE_PAUSE)
            else:
                self._set_trouble("")
                if not busy:
                    time.sleep(PAUSE)

    def _set_trouble(self, trouble: str) -> None:
        if trouble and trouble != self.trouble:
            logger.error("%s", trouble)
        elif self.trouble and not trouble:
            logger.info("The data directory can be used again, and work continues.")
        self.trouble = trouble

    def close(self) -> None:
        """Abandon all jobs; their results so far are in the store."""
        with self._lock.held():
            self._lock.close()
            deadline = time.monotonic() + ENDING
            for project_id, thread in self._turn_threads.items():
                if not thread.running or thread.ends(deadline - time.monotonic()):
                    self._drop(project_id)
                thread.finish()

    def turn(self) -> bool:
        """Give every project a turn, except those that wait for their Label Studio.

        Returns:
            Whether any project has slow work left.
        """
        with self._lock.held():
            wake_times = self._store.wake_times()
            for project_id in self._turn_threads.keys() - wake_times.keys():  # it was reset
                self._turn_threads.pop(project_id).finish(partial(self._drop, project_id))
            for project_id, wake_at in wake_times.items():
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
            slot.loop.workspace.platform.close()
        return False

    def _turn_of(self, project_id: int, wake_at: float) -> bool:
        try:
            return self._steps_of(project_id, wake_at)
        except StoreError as error:  # this concerns all projects, so all of them wait
            self._halted = error
            return False

    def _steps_of(self, project_id: int, wake_at: float) -> bool:
        slot = self._slots.get(project_id)
        if (slot is None or slot.woken_at != wake_at) and not self._open(project_id, wake_at):
            return False
        slot = self._slots[project_id]
        started = time.monotonic()
        self._sync(slot, wake_at)
        busy = False
        if slot.is_disconnected and not self._was_synced(project_id):
            self._forget(slot)
        elif slot.loop.is_synced and slot.unconnected_since is None:
            self._try(slot, slot.update_queue, slot.loop.update_queue)
            # At least as long as the quick steps took: a slow Label Studio must not starve training.
            share = min(max(SLICE, time.monotonic() - started), SLICE_MOST)
            busy = self._try(slot, slot.work, lambda: slot.loop.work(share)) or False
        if project_id in self._slots and slot.error() != slot.shown:
            self._show_error(project_id, slot)
        return busy

    def _open(self, project_id: int, wake_at: float) -> bool:
        """Create a project's slot, or replace its platform if a wake-up brought another address or token.

        Returns:
            Whether the project has a slot that is up to date.
        """
        opening = self._openings.setdefault(project_id, Opening())
        if opening.woken_at == wake_at and time.monotonic() < opening.not_before:
            return False
        opening.woken_at = wake_at
        project = self._store.project(project_id)
        if project is None:
            return False
        if self._is_elsewhere(project.label_studio_url):
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
            opening.failed(self._with_advice(project.label_studio_url, _message(error)), transient=False)
            if project.error != opening.error:
                self._store.update(project_id, stage=tables.ERROR, error=opening.error)
            return False
        del self._openings[project_id]
        if slot is None:
            workspace = Workspace(project_id, self._store, platform, self._settings, self.device, self._lock.released)
            self._slots[project_id] = ProjectSlot(ProjectLoop(workspace), project.number, connection, wake_at)
        else:
            slot.loop.reconnect(platform)
            slot.connection, slot.woken_at, slot.sync, slot.shown = connection, wake_at, Attempt(), None
        return True

    def _sync(self, slot: ProjectSlot, wake_at: float) -> None:
        """Sync when woken, or every few seconds: often while things change, rarely while they do not."""
        woken = wake_at != slot.synced_for and not slot.sync.failures
        if not woken and time.monotonic() < slot.sync.not_before:
            return
        changed = self._try(slot, slot.sync, slot.sync_project)
        if slot.sync.failures:
            return
        slot.gone_since, slot.synced_for = None, wake_at
        longer = min(slot.interval * 1.3, self._settings.idle_interval)
        slot.interval = self._settings.poll_interval if changed or woken or not longer else longer
        # If tasks are left, the next turn continues with them.
        complete = slot.loop.is_synced or slot.unconnected_since is not None
        slot.sync.not_before = time.monotonic() + (slot.interval if complete else 0.0)
        if changed or woken:  # the cause of a failure may be fixed now
            slot.update_queue.not_before = slot.work.not_before = 0.0

    def _try(self, slot: ProjectSlot, step: Attempt, action: Callable[[], bool | None]) -> bool | None:
        if step is not slot.sync and time.monotonic() < step.not_before:
            return None
        try:
            result = action()
        except ProjectGoneError as error:
            self._gone(slot, step, error)
        except StoreError:
            raise
        except LabelStudioUnavailableError as error:
            step.failed(self._with_advice(slot.connection[0], str(error)), transient=True)
        except PT4ALError as error:
            step.failed(str(error), transient=False)
        except Exception as error:  # shown on every page and tried again: one project must not stop the others
            logger.exception("project %d", slot.loop.workspace.project_id)
            step.failed(_message(error), transient=False)
        else:
            step.succeeded()
            return result
        return None

    def _gone(self, slot: ProjectSlot, step: Attempt, error: ProjectGoneError) -> None:
        """Forget a project that stays missing; one that is missing for a moment may be on a disk not mounted yet."""
        now = time.monotonic()
        slot.gone_since = slot.gone_since or now
        if now - slot.gone_since < GONE_FOR:
            step.failed(
                f"{error} The backend forgets it if it stays missing for {GONE_FOR:.0f} seconds.", transient=False
            )
            return
        logger.warning("%s The backend forgets it.", error)
        self._forget(slot)

    def _is_elsewhere(self, url: str) -> bool:
        """Whether a project's Label Studio is not the one in the settings."""
        return bool(self._settings.label_studio_url) and url != self._settings.label_studio_url

    def _moved(self, project: Project) -> Project:
        """The project at the address in the settings, if it came without a token and exists there."""
        if not project.created or project.access_token:
            return project
        url, number, created = self._settings.label_studio_url, project.number, project.created
        candidate = Project(id=project.id, label_studio_url=url, number=number, created=created, access_token="")
        try:
            with closing(self._platform_for(candidate, self._lock)) as platform:
                platform.project()
        except UnsupportedConfigError:
            pass  # the project exists there
        except PT4ALError as error:
            logger.info("project %d is not at %s: %s", number, without_userinfo(url), error)
            return project
        row = self._store.connect(url=url, number=number, created=created, access_token="", label_config="", only=True)
        return row if row.id == project.id else project  # another row: the project was connected there as well

    def _with_advice(self, url: str, error: str) -> str:
        """An error of the Label Studio at `url`, with advice if that is not the one in the settings."""
        if not self._is_elsewhere(url):
            return error
        address = without_userinfo(self._settings.label_studio_url)
        return f"{error} If it is at {address} now, open the project's Settings > Model page there."

    def _was_synced(self, project_id: int) -> bool:
        """Whether anything is known about the project, besides the request to serve it."""
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
        slot.loop.failing = failing  # only after the row says so
        slot.shown = error, transient

    @property
    def busy_with(self) -> str:
        """What the worker is doing, for people. Other threads may ask."""
        loops = [(slot.number, slot.loop.busy_with) for slot in list(self._slots.values())]
        return ", ".join(f"project {number}: {stage}" for number, stage in loops if stage)


def _message(error: Exception) -> str:
    if isinstance(error, PT4ALError):
        return str(error)
    if isinstance(error, OSError) and error.errno in disk.DISK_ERRORS and error.filename:
        return disk.describe(error, Path(str(error.filename)))
    return f"Unexpected {type(error).__name__}; the worker's log has the details."
