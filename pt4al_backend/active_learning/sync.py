"""What changed on the labelling platform since the last look.

The platform's changes are taken in as they come, by a cursor; where its counts say that something was missed, all
tasks are looked at again. Many changes are taken in by several looks, as other projects wait for each, and a look
that fails or is killed in between is gone on with. What is known is in the store: a sync remembers only what it has
already said and tried.
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

AT_A_TIME = 2.0  # seconds for which a look takes in tasks
PATIENCE = 2  # looks in a row after which the platform counts otherwise, before all tasks are looked at again


@dataclass(frozen=True)
class SyncResult:
    """What a look found."""

    changed: bool  # anything did
    reconfigured: bool  # the label config did
    asks_anew: bool  # what is asked did: nothing was learnt of that yet
    info: ProjectInfo
    tasks: int = 0  # how many of them have been taken in as they are now


class Sync:
    """Takes the changes of one project into the store."""

    def __init__(self, workspace: Workspace) -> None:
        self.complete = False  # whether all tasks have been taken in as the project is configured now
        self._workspace = workspace
        self._addresses = Addresses(workspace)
        self._pages: Iterator[tuple[list[TaskState], str]] | None = None  # those that are left
        self._everything = False  # whether they are of all tasks
        self._listed = 0  # tasks that came with them
        self._told: set[tuple[int, str]] = set()  # tasks, in these versions, whose notes have been logged
        self._announced = -1  # tasks the project has, as the store was told
        self._miscounts = 0
        self._accepted: tuple[int, ...] = ()  # a difference of the counts that looking at everything did not mend

    def look(self) -> SyncResult:
        """Ask the platform. What is raised here loses nothing: what was taken in is before the cursor."""
        workspace, project = self._workspace, self._workspace.project()
        info = workspace.platform.project()
        if info.tasks != self._announced:
            workspace.store.announce(workspace.project_id, tasks=info.tasks)
            self._announced = info.tasks
        asked = [question.as_json() for question in info.questions]
        asks_anew = asked != project.questions
        result = SyncResult(True, asks_anew or info.label_config != project.label_config, asks_anew, info)
        if result.reconfigured or self._miscounts >= PATIENCE:
            self._start_over(result, asked)
            return result  # the tasks come with the next looks: should one fail, this has been told
        changed = self._take_in(project, info)
        totals = workspace.store.totals(workspace.project_id)
        if not self.complete:
            return replace(result, tasks=self._listed if self._everything else totals.tasks)
        if totals.tasks > info.tasks and self._remove_missing():
            changed, totals = True, workspace.store.totals(workspace.project_id)
        shown = {"title": info.title, "notes": list(info.notes), "looked_at": project.wake_at}
        if any(getattr(project, name) != value for name, value in shown.items()):  # else nothing has changed
            workspace.store.update(workspace.project_id, **shown)
        self._compare(totals, info, settled=not changed)
        changed |= self._addresses.compare(project)
        return replace(result, changed=changed, tasks=totals.tasks)

    def interrupt(self) -> None:
        """Ask for no more of the pages under way: the next look goes on from the cursor."""
        self._pages = None

    def _start_over(self, result: SyncResult, asked: list[dict[str, Any]]) -> None:
        """Look at all tasks again, as they are `asked` about now."""
        self._pages, self._everything, self._listed = None, True, 0
        self._miscounts, self.complete = 0, False
        self._workspace.store.update(
            self._workspace.project_id,
            cursor="",  # in one transaction with what is asked: a pass that is killed begins again, or goes on
            label_config=result.info.label_config,
            questions=asked,
            **({"main_labels": 0, "main_round": -1} if result.asks_anew else {}),  # it has learnt nothing of that
        )

    def _take_in(self, project: Project, info: ProjectInfo) -> bool:
        """Take in tasks for a moment. Whether any was new or changed; `complete` says whether none is left."""
        workspace = self._workspace
        if self._pages is None:
            self._everything |= not project.cursor
            self._pages = workspace.platform.tasks(project.cursor or None)
        regions = next((question.name for question in info.questions if question.label_type.has_regions), "")
        changed, until = False, time.monotonic() + AT_A_TIME
        try:
            for states, cursor in self._pages:
                changed |= workspace.store.apply(workspace.project_id, states, regions=regions)
                workspace.store.update(workspace.project_id, cursor=cursor)
                self._tell(project, states)
                self._listed += len(states)
                if time.monotonic() >= until:
                    self.complete = False
                    return changed
        except BaseException:
            self._pages = None  # the next look goes on from the cursor
            raise
        self._pages, self.complete = None, True
        return changed

    def _tell(self, project: Project, states: Sequence[TaskState]) -> None:
        """Log, once, what of the annotations cannot be used."""
        for state in states:
            for note in state.notes if (state.id, state.version) not in self._told else ():
                logger.warning("project %d, task %d: %s", project.number, state.id, note)
            if state.notes:
                self._told.add((state.id, state.version))

    def _remove_missing(self) -> bool:
        missing = self._workspace.platform.missing(self._workspace.store.task_ids(self._workspace.project_id))
        if missing:
            self._workspace.store.remove_tasks(self._workspace.project_id, missing)
        return bool(missing)

    def _compare(self, totals: Totals, info: ProjectInfo, *, settled: bool) -> None:
        """Counts that stay different while nothing changes mean that a change was missed."""
        difference = (totals.tasks - info.tasks, totals.annotations - info.annotations, totals.cancelled - info.skipped)
        if self._everything:
            self._accepted = difference
        self._everything, self._listed = False, 0
        wrong = any(difference) and difference != self._accepted
        self._miscounts = self._miscounts + 1 if wrong and settled else 0
