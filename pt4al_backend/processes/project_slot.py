"""One project's turns: which steps of its loop are due, and what happens when one of them fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.errors import LabelStudioUnavailableError, ProjectGoneError, PT4ALError, StoreError
from pt4al_backend.labelling.platform import LabellingPlatform
from pt4al_backend.processes.address_changes import with_advice
from pt4al_backend.processes.backoff import Attempt
from pt4al_backend.store import disk, tables
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

SLICE = 0.25  # seconds of slow work in a turn …
SLICE_MOST = 2.0  # … or up to so many, if the quick steps took long
INTERRUPTED = 0.25  # the least part of its time that slow work has before a new label interrupts it
GONE_FOR = 120.0  # seconds that a project must be missing before it is forgotten
SETTLED = 10.0  # seconds without a connection before that is reported: /setup comes before the connection is saved
NOT_CONNECTED = "Not connected in Label Studio: connect the backend under the project's Settings > Model to resume."


class Connection(NamedTuple):
    """What a project's platform was created with."""

    url: str
    """The address of its Label Studio."""
    access_token: str
    """The token that came with it."""

    @classmethod
    def of(cls, project: Project) -> Connection:
        """As the project's row says."""
        return cls(project.label_studio_url, project.access_token)


class ProjectLostError(Exception):
    """The project stays missing in Label Studio, or nobody connected it after its /setup."""


@dataclass
class ProjectSlot:
    """A project's loop, and when each of its steps may run next."""

    loop: ProjectLoop
    number: int
    """The project's id in Label Studio."""
    connection: Connection
    own_settings: dict[str, Any] = field(default_factory=dict)
    """What people chose for the project, with which the loop was made."""
    paused: bool = False
    """Whether people paused the project."""
    woken_at: float = 0.0
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

    def turn(self) -> bool:
        """Run the steps that are due, and show their errors.

        Returns:
            Whether slow work is left.

        Raises:
            ProjectLostError: The project is to be forgotten.
            StoreError: All projects have to wait.
        """
        if self.paused:
            return False
        started, busy = time.monotonic(), False
        self._sync()
        if self.is_disconnected and not self._was_synced():
            raise ProjectLostError
        if self.loop.is_synced and self.unconnected_since is None:
            if self.update_queue.is_due:
                self._run(self.update_queue, self.loop.update_queue)
            quick = time.monotonic() - started
            if self.work.is_due:
                busy = self._run(self.work, lambda: self._work(quick))
        if self.error() != self.shown:
            self._show_error()
        return busy

    def wake(self, wake_at: float, *, paused: bool = False) -> None:
        """Note that the connection is the one of this wake-up, and whether the project is paused now."""
        self.woken_at, self.shown = wake_at, None
        if paused and not self.paused:
            self.loop.close()
        self.paused = paused

    def reconnect(self, platform: LabellingPlatform, connection: Connection) -> None:
        """Replace the platform and close the old one."""
        self.loop.reconnect(platform)
        self.connection, self.sync = connection, Attempt()

    def close(self) -> None:
        """Abandon the current job and close the platform."""
        self.loop.close()
        self.loop.workspace.platform.close()

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

    def _work(self, quick: float) -> bool:
        """Do slow work for as long as the quick steps took: a slow Label Studio must not starve training.

        A change in any project interrupts it after a part of that time.
        """
        share = min(max(SLICE, quick), SLICE_MOST)
        interruptible_at = time.monotonic() + max(SLICE, share * INTERRUPTED)
        store = self.loop.workspace.store
        woken_at = store.wake_times() | {self.loop.workspace.project_id: self.synced_for}

        def is_interrupted() -> bool:
            return time.monotonic() >= interruptible_at and store.wake_times() != woken_at

        return self.loop.work(share, is_interrupted=is_interrupted)

    def _sync(self) -> None:
        """Sync when woken, or every few seconds: often while things change, rarely while they do not."""
        woken = self.woken_at != self.synced_for and not self.sync.failures
        if not woken and not self.sync.is_due:
            return
        changed = self._run(self.sync, self._sync_if_connected)
        if self.sync.failures:
            return
        settings = self.loop.workspace.settings
        self.gone_since, self.synced_for = None, self.woken_at
        longer = min(self.interval * 1.3, settings.idle_interval)
        self.interval = settings.poll_interval if changed or woken or not longer else longer
        # If tasks are left, the next turn continues with them.
        at_once = self.loop.has_more_to_sync and self.unconnected_since is None
        self.sync.not_before = time.monotonic() + (0.0 if at_once else self.interval)
        if changed or woken:  # the cause of a failure may be fixed now
            self.update_queue.not_before = self.work.not_before = 0.0

    def _sync_if_connected(self) -> bool:
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

    def _run(self, step: Attempt, action: Callable[[], bool | None]) -> bool:
        """What a step returns; False if it returns nothing or fails."""
        workspace = self.loop.workspace
        try:
            result = action()
        except ProjectGoneError as error:
            self._gone(step, error)
        except StoreError:  # it concerns all projects
            raise
        except LabelStudioUnavailableError as error:
            home = workspace.settings.label_studio_url
            step.failed(with_advice(str(error), self.connection.url, home), transient=True)
        except Exception as error:  # shown on every page and tried again: one project must not stop the others
            if workspace.store.project(workspace.project_id) is not None:  # else it was reset, with all its files
                step.failed(describe(error, workspace.project_id), transient=False)
        else:
            step.succeeded()
            return bool(result)
        return False

    def _gone(self, step: Attempt, error: ProjectGoneError) -> None:
        """Give up a project that stays missing; one that is missing for a moment may be on a disk not mounted yet."""
        now = time.monotonic()
        self.gone_since = self.gone_since or now
        if now - self.gone_since >= GONE_FOR:
            logger.warning("%s The backend forgets it.", error)
            raise ProjectLostError from error
        step.failed(f"{error} The backend forgets it if it stays missing for {GONE_FOR:.0f} seconds.", transient=False)

    def _was_synced(self) -> bool:
        """Whether anything is known about the project, besides the request to serve it."""
        workspace = self.loop.workspace
        project = workspace.store.project(workspace.project_id)
        return project is None or bool(project.cursor)

    def _show_error(self) -> None:
        workspace, (error, transient) = self.loop.workspace, self.error()
        failing = bool(error) and not transient
        if error:
            logger.warning("project %d: %s", self.number, error)
        stage = {"stage": tables.ERROR} if failing else {}
        workspace.store.update(workspace.project_id, error=error, **stage)
        self.loop.failing = failing  # only after the row says so
        self.shown = error, transient


def describe(error: Exception, project_id: int) -> str:
    """What people are told about an error of a project's; an unexpected one goes to the log with its traceback."""
    if isinstance(error, PT4ALError):
        return str(error)
    logger.exception("project %d", project_id, exc_info=error)
    if isinstance(error, OSError) and error.errno in disk.DISK_ERRORS and error.filename:
        return disk.describe(error, Path(str(error.filename)))
    return f"Unexpected {type(error).__name__}; the worker's log has the details."
