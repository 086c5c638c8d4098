"""Takes turns: every project has one after the other, and all wait while the store cannot be used."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import partial

from pt4al_backend.errors import DataReplacedError, StoreError
from pt4al_backend.processes.fair_lock import FairLock, TurnThread
from pt4al_backend.processes.open_projects import OpenProjects, PlatformFactory
from pt4al_backend.processes.project_slot import ProjectLostError
from pt4al_backend.reports.stages import WORK
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

logger = logging.getLogger(__name__)

ENDING = 2.0  # seconds that projects have to end their turns
PAUSE = 0.1  # seconds between turns when there is nothing to do
STORE_PAUSE = 1.0  # seconds between turns while the disk or the database cannot be used


class Stop:
    """A request to stop; a signal handler may make it at any moment."""

    requested = False

    def request(self, *_: object) -> None:
        """Stop after the current turn."""
        self.requested = True


class Worker:
    """Runs the loops of all projects of a store."""

    def __init__(self, settings: Settings, store: Store, platform_for: PlatformFactory) -> None:
        self._store = store
        self._lock = FairLock()
        self._projects = OpenProjects(settings, store, platform_for, self._lock)
        self._turn_threads: dict[int, TurnThread] = {}
        self.trouble = ""
        """Why all projects wait: the disk or the database cannot be used. "" if they can."""
        self._halted: StoreError | None = None  # the error that ended a project's turn

    def run(
        self, stop: Stop, *, after_turn: Callable[[], None] = lambda: None, preparation: Iterator[None] | None = None
    ) -> None:
        """Take turns until asked to stop. While the disk or the database cannot be used, wait and keep all jobs.

        Args:
            stop: the request to stop.
            after_turn: called after every turn.
            preparation: work for the first project, a step at a time, until there is one.

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
                after_turn()
                if preparation is not None and not self._turn_threads:
                    next(preparation, None)
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
                    self._projects.close(project_id)
                thread.finish()

    def turn(self) -> bool:
        """Give every project a turn, except those that wait for their Label Studio.

        Returns:
            Whether any project has slow work left.
        """
        with self._lock.held():
            wake_times = self._store.wake_times()
            for project_id in self._turn_threads.keys() - wake_times.keys():  # it was reset
                self._turn_threads.pop(project_id).finish(partial(self._clear, project_id))
            for project_id, wake_at in wake_times.items():
                if project_id not in self._turn_threads:
                    self._turn_threads[project_id] = TurnThread(self._lock, f"project-{project_id}")
                self._turn_threads[project_id].submit(partial(self._turn_of, project_id, wake_at))
        self._lock.wait_until_free()
        return any(thread.has_more for thread in self._turn_threads.values())

    def _turn_of(self, project_id: int, wake_at: float) -> bool:
        try:
            return self._take_turn(project_id, wake_at)
        except StoreError as error:  # this concerns all projects, so all of them wait
            self._halted = error
            return False

    def _take_turn(self, project_id: int, wake_at: float) -> bool:
        slot = self._projects.slot(project_id, wake_at)
        try:
            return slot is not None and slot.turn()
        except ProjectLostError:
            self._projects.close(project_id)
            self._store.forget(project_id)
            return False

    def _clear(self, project_id: int) -> bool:
        """Close a project that was reset, and delete what its last step wrote after that."""
        self._projects.close(project_id)
        self._store.remove_files(project_id)
        return False

    @property
    def device(self) -> str:
        """The torch device that it runs on."""
        return self._projects.device

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for the first order of a project."""
        return any(slot.loop.is_awaited for slot in self._projects.slots.values())

    @property
    def busy_with(self) -> str:
        """What the worker is doing, for people. Other threads may ask."""
        loops = [(slot.number, slot.loop.busy_with) for slot in list(self._projects.slots.values())]
        return ", ".join(f"project {number}: {WORK[stage]}" for number, stage in loops if stage)
