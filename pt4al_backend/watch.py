"""What changed on the labelling platform since the last look.

The platform's changes are taken in as they come, by a cursor; where its counts say that something was missed, all
tasks are looked at again. What is known is in the store: a watch remembers only what it has already said and tried.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pt4al_backend.jobs import Bench
from pt4al_backend.labelling_platform import SEGMENTATION, ProjectInfo, TaskState
from pt4al_backend.store.store import Totals
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

PATIENCE = 2  # looks in a row after which the platform counts otherwise, before all tasks are looked at again


@dataclass(frozen=True)
class Seen:
    """What a look found."""

    changed: bool  # anything did
    reconfigured: bool  # the label config did
    asks_anew: bool  # what is asked did: nothing was learnt of that yet
    serving: str  # the prediction version that orders the platform's queue
    overlap: int  # annotations that are wanted of each task


class Watch:
    """Takes the changes of one project into the store."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._told: set[tuple[int, str]] = set()  # tasks, in these versions, whose notes have been logged
        self._miscounts = 0
        self._accepted: tuple[int, ...] = ()  # a difference of the counts that looking at everything did not mend

    def look(self) -> Seen:
        """Ask the platform. What is raised here left the cursor where it was: the same changes come again."""
        bench, project = self._bench, self._bench.project()
        info = bench.platform.project()
        asked = [asdict(question) | {"classes": list(question.classes)} for question in info.questions]
        asks_anew = asked != project.questions
        reconfigured = asks_anew or info.label_config != project.label_config
        everything = reconfigured or not project.cursor or self._miscounts >= PATIENCE
        about_pixels = next((question.name for question in info.questions if question.kind == SEGMENTATION), "")
        changed, cursor = reconfigured, project.cursor
        for states, seen_to in bench.platform.tasks(None if everything else project.cursor):
            changed |= bench.store.apply(bench.project_id, states, segmentation=about_pixels)
            self._tell(project, states)
            cursor = seen_to
        totals = bench.store.totals(bench.project_id)
        if totals.tasks > info.tasks:
            changed |= self._remove_missing()
            totals = bench.store.totals(bench.project_id)
        # After the tasks, so that a pass that is killed is made again as a whole.
        bench.store.update(
            bench.project_id,
            cursor=cursor,
            title=info.title,
            label_config=info.label_config,
            questions=asked,
            notes=list(info.notes),
            looked_at=project.wake_at,
            **({"main_labels": 0, "main_round": -1} if asks_anew else {}),  # it has learnt nothing of that
        )
        self._compare(totals, info, settled=not changed, everything=everything)
        return Seen(changed, reconfigured, asks_anew, info.model_version, info.overlap)

    def _tell(self, project: Project, states: Sequence[TaskState]) -> None:
        """Log, once, what of the annotations cannot be used."""
        for state in states:
            for note in state.notes if (state.id, state.version) not in self._told else ():
                logger.warning("project %d, task %d: %s", project.number, state.id, note)
            if state.notes:
                self._told.add((state.id, state.version))

    def _remove_missing(self) -> bool:
        missing = self._bench.platform.missing(self._bench.store.task_ids(self._bench.project_id))
        if missing:
            self._bench.store.remove_tasks(self._bench.project_id, missing)
        return bool(missing)

    def _compare(self, totals: Totals, info: ProjectInfo, *, settled: bool, everything: bool) -> None:
        """Counts that stay different while nothing changes mean that a change was missed."""
        difference = (totals.tasks - info.tasks, totals.annotations - info.annotations, totals.cancelled - info.skipped)
        if everything:
            self._accepted = difference
        wrong = any(difference) and difference != self._accepted
        self._miscounts = self._miscounts + 1 if wrong and settled else 0
