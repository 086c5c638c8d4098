"""What is shown of many projects at a glance: one query for each table, however many projects there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select, tuple_

from pt4al_backend.store.findings import FindingStore
from pt4al_backend.store.tables import Announced, Finding, Measurement, Project, Task
from pt4al_backend.store.tasks import Totals

AT_ONCE = 500
"""Published tasks that are looked up with one query."""


@dataclass(frozen=True)
class Overview:
    """One project's."""

    totals: Totals = field(default_factory=Totals)
    announced: int = 0
    """How many tasks the platform says there are; 0 if unknown."""
    queue_length: int = 0
    """How many published tasks still exist and have not been labelled since."""
    measured: Measurement | None = None
    """The newest point of the learning curve."""
    findings: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Kind -> body."""
    notes: list[tuple[int, str]] = field(default_factory=list)
    """(task id, sentence) about its first odd images and annotations."""


class OverviewStore(FindingStore):
    """Reads them."""

    def overviews(
        self, projects: Sequence[Project], *, kinds: Collection[str] = (), notes: int = 0
    ) -> dict[int, Overview]:
        """The overview of each project by its id, with its findings of these kinds, and so many notes."""
        ids = [project.id for project in projects]
        totals, announced, waiting = self.totals_of(ids), self._announced(ids), self._waiting(projects)
        measured, findings, noted = self._last_measurements(ids), self._bodies(ids, kinds), self.notes_of(ids, notes)
        return {
            i: Overview(
                totals=totals[i],
                announced=announced.get(i, 0),
                queue_length=waiting.get(i, 0),
                measured=measured.get(i),
                findings=findings.get(i, {}),
                notes=noted.get(i, []),
            )
            for i in ids
        }

    def _announced(self, ids: Collection[int]) -> dict[int, int]:
        query = select(Announced.project_id, Announced.tasks).where(Announced.project_id.in_(ids))
        with self._session() as session:
            return {row.project_id: row.tasks for row in session.execute(query)}

    def _last_measurements(self, ids: Collection[int]) -> dict[int, Measurement]:
        newest = select(func.max(Measurement.id)).where(Measurement.project_id.in_(ids))
        query = select(Measurement).where(Measurement.id.in_(newest.group_by(Measurement.project_id)))
        with self._session() as session:
            return {measurement.project_id: measurement for measurement in session.scalars(query)}

    def _bodies(self, ids: Collection[int], kinds: Collection[str]) -> dict[int, dict[str, dict[str, Any]]]:
        columns = (Finding.project_id, Finding.kind, Finding.body)
        query = select(*columns).where(Finding.project_id.in_(ids), Finding.kind.in_(kinds))
        bodies: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
        with self._session() as session:
            for row in session.execute(query):
                bodies[row.project_id][row.kind] = row.body
        return bodies

    def _waiting(self, projects: Sequence[Project]) -> dict[int, int]:
        """How many published tasks of each project wait for a label."""
        published = [(project.id, task) for project in projects for task in project.published]
        waiting: dict[int, int] = defaultdict(int)
        with self._session() as session:
            for start in range(0, len(published), AT_ONCE):
                these = tuple_(Task.project_id, Task.id).in_(published[start : start + AT_ONCE])
                query = select(Task.project_id, func.count()).where(these, Task.annotations == 0)
                for project_id, count in session.execute(query.group_by(Task.project_id)):
                    waiting[project_id] += count
        return waiting
