"""Brings the changes on the labelling platform since the last sync into the store.

A cursor marks the platform's changes that are stored. If the platform's counts show that a change was missed, all tasks
are listed again. Many changes take several syncs, so that other projects need not wait, and a sync that fails or is
killed is resumed. Everything that is known is in the store; a `Sync` remembers only what it has logged and tried.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pt4al_backend.active_learning.image_addresses import Addresses
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.labelling.platform import ProjectInfo, TaskState
from pt4al_backend.store.store import Totals
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

AT_A_TIME = 2.0  # seconds for which one sync stores tasks
PATIENCE = 2  # syncs in a row after which the counts differ, before all tasks are listed again


@dataclass(frozen=True)
class SyncResult:
    """The result of a sync."""

    changed: bool
    """Whether anything changed."""
    reconfigured: bool
    """Whether the label config changed."""
    questions_changed: bool
    """Whether the questions changed, so that no network was trained for them yet."""
    info: ProjectInfo
    tasks: int = 0
    """How many tasks are stored as they are now."""


class Sync:
    """Brings the changes of one project into the store."""

    def __init__(self, workspace: Workspace) -> None:
        self.complete = False
        """Whether all tasks have been stored since the project was configured as it is now."""
        self._workspace = workspace
        self._addresses = Addresses(workspace)
        self._pages: Iterator[tuple[list[TaskState], str]] | None = None  # those that are left
        self._listing_all = False  # whether the pages are of all tasks
        self._listed = 0  # tasks on the pages so far
        self._logged: set[tuple[int, str]] = set()  # tasks and their versions whose notes have been logged
        self._announced = -1  # the number of tasks that the store has been given
        self._miscounts = 0
        self._accepted: tuple[int, ...] = ()  # a difference of the counts that listing all tasks did not remove

    def sync(self) -> SyncResult:
        """Get changes from the platform. An error loses nothing, because the cursor marks what is stored."""
        workspace, project = self._workspace, self._workspace.project()
        info = workspace.platform.project()
        if info.tasks != self._announced:
            workspace.store.announce(workspace.project_id, tasks=info.tasks)
            self._announced = info.tasks
        questions = [question.as_json() for question in info.questions]
        questions_changed = questions != project.questions
        reconfigured = questions_changed or info.label_config != project.label_config
        result = SyncResult(True, reconfigured, questions_changed, info)
        if reconfigured or self._miscounts >= PATIENCE:
            self._start_over(result, questions)
            return result  # the tasks come with the next syncs; if one fails, this result has been returned
        changed = self._store_tasks(project, info)
        totals = workspace.store.totals(workspace.project_id)
        if self.has_more:
            return replace(result, changed=changed, tasks=self._listed if self._listing_all else totals.tasks)
        if totals.tasks > info.tasks and self._remove_missing():
            changed, totals = True, workspace.store.totals(workspace.project_id)
        columns = {"title": info.title, "notes": list(info.notes), "looked_at": project.wake_at}
        if any(getattr(project, name) != value for name, value in columns.items()):  # no needless write
            workspace.store.update(workspace.project_id, **columns)
        self._compare(totals, info, settled=not changed)
        changed |= self._addresses.compare(project)
        return replace(result, changed=changed, tasks=totals.tasks)

    @property
    def has_more(self) -> bool:
        """Whether the next sync continues this one."""
        return self._pages is not None

    def interrupt(self) -> None:
        """Drop the pages that are left: the next sync continues from the cursor."""
        self._pages = None

    def _start_over(self, result: SyncResult, questions: list[dict[str, Any]]) -> None:
        """List all tasks again, with the current questions."""
        self._pages, self._listing_all, self._listed = None, True, 0
        self._miscounts, self.complete = 0, False
        self._workspace.store.update(
            self._workspace.project_id,
            cursor="",  # in one transaction with the questions, so that a kill at any moment does no harm
            label_config=result.info.label_config,
            questions=questions,
            **({"main_labels": 0, "main_round": -1} if result.questions_changed else {}),  # not trained for them yet
        )

    def _store_tasks(self, project: Project, info: ProjectInfo) -> bool:
        """Store changed tasks for `AT_A_TIME` seconds, and set `complete` once none is left.

        Returns:
            Whether any task was new or changed.
        """
        workspace = self._workspace
        if self._pages is None:
            self._listing_all |= not project.cursor
            self._pages = workspace.platform.tasks(project.cursor or None)
        regions = next((question.name for question in info.questions if question.label_type.has_regions), "")
        changed, deadline = False, time.monotonic() + AT_A_TIME
        try:
            for states, cursor in self._pages:
                changed |= workspace.store.apply(workspace.project_id, states, regions=regions)
                workspace.store.update(workspace.project_id, cursor=cursor)
                self._log_notes(project, states)
                self._listed += len(states)
                if time.monotonic() >= deadline:
                    self.complete &= not self._listing_all
                    return changed
        except BaseException:
            self._pages = None  # the next sync continues from the cursor
            raise
        self._pages, self.complete = None, True
        return changed

    def _log_notes(self, project: Project, states: Sequence[TaskState]) -> None:
        """Log, once, which annotations cannot be used."""
        for state in states:
            for note in state.notes if (state.id, state.version) not in self._logged else ():
                logger.warning("project %d, task %d: %s", project.number, state.id, note)
            if state.notes:
                self._logged.add((state.id, state.version))

    def _remove_missing(self) -> bool:
        missing = self._workspace.platform.missing(self._workspace.store.task_ids(self._workspace.project_id))
        if missing:
            self._workspace.store.remove_tasks(self._workspace.project_id, missing)
        return bool(missing)

    def _compare(self, totals: Totals, info: ProjectInfo, *, settled: bool) -> None:
        """Compare the counts: if they differ while nothing changes, a change was missed."""
        difference = (totals.tasks - info.tasks, totals.annotations - info.annotations, totals.cancelled - info.skipped)
        if self._listing_all:
            self._accepted = difference
        self._listing_all, self._listed = False, 0
        wrong = any(difference) and difference != self._accepted
        self._miscounts = self._miscounts + 1 if wrong and settled else 0
