"""What the worker found out about the projects, and what people said to it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import undefer

from pt4al_backend.labelling.questions import Answers, Judgement
from pt4al_backend.store.latencies import with_one_more
from pt4al_backend.store.tables import Confirmed, Finding, Guess, Measurement, Project, Task
from pt4al_backend.store.tasks import TaskStore

Arrays = Mapping[str, NDArray[Any]]
QUALITY, SUSPECTS, MAP, DUPLICATES, LATENCY = "quality", "suspects", "map", "duplicates", "latency"
"""Kinds of findings: how good the model is, labels that look wrong, a map of the pool, near-duplicates in it, and how
long it takes from a label to the next order."""


@dataclass(frozen=True)
class Found:
    """A finding as it is read."""

    stamp: float
    """When it was made, in unix seconds."""
    revision: int
    """The project's `labels_revision` that it was made from."""
    body: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    """Empty if they were not asked for."""


class FindingStore(TaskStore):
    """Each method is one transaction."""

    def save_finding(
        self, project_id: int, kind: str, body: Mapping[str, Any], *, revision: int, arrays: Arrays | None = None
    ) -> None:
        """Replace a project's finding of this kind.

        Raises:
            ProjectResetError: The project was forgotten meanwhile.
        """
        packed = save({name: np.ascontiguousarray(array) for name, array in (arrays or {}).items()})
        with self._changing(project_id) as session:
            session.get_one(Project, project_id)
            session.merge(
                Finding(
                    project_id=project_id,
                    kind=kind,
                    stamp=time.time(),
                    revision=revision,
                    body=dict(body),
                    arrays=packed if arrays else b"",
                )
            )

    def finding(self, project_id: int, kind: str, *, arrays: bool = False) -> Found | None:
        """The newest finding of this kind; None if there is none yet. `arrays`: with its arrays."""
        options = [undefer(Finding.arrays)] if arrays else []
        with self._session() as session:
            row = session.get(Finding, (project_id, kind), options=options)
            if row is None:
                return None
            packed = row.arrays if arrays else b""
        return Found(row.stamp, row.revision, row.body, load(packed) if packed else {})

    def add_latency(self, project_id: int, seconds: float) -> None:
        """Count how long it took from a label to the order that knows it."""
        before = self.finding(project_id, LATENCY)
        self.save_finding(project_id, LATENCY, with_one_more(before.body if before else None, seconds), revision=0)

    def add_measurement(self, project_id: int, **columns: Any) -> None:
        """Add a point to the project's learning curve; see `tables.Measurement`."""
        with self._changing(project_id) as session:
            session.get_one(Project, project_id)
            session.add(Measurement(project_id=project_id, at=time.time(), **columns))

    def measurements(self, project_id: int) -> list[Measurement]:
        """The points of the learning curve, oldest first."""
        with self._session() as session:
            query = select(Measurement).where(Measurement.project_id == project_id).order_by(Measurement.id)
            return list(session.scalars(query))

    def save_guesses(self, project_id: int, guesses: Mapping[int, Answers]) -> None:
        """Store what the model suggests for these tasks, in place of what it suggested for them before."""
        rows = [{"project_id": project_id, "task_id": task, "answers": guess} for task, guess in guesses.items()]
        with self._changing(project_id) as session:
            session.execute(delete(Guess).where(Guess.project_id == project_id, Guess.task_id.in_(guesses)))
            if rows:
                session.execute(insert(Guess), rows)

    def guesses(self, project_id: int) -> dict[int, Answers]:
        """Task id -> what the model last suggested for it, of all tasks that were ever in a window."""
        with self._session() as session:
            query = select(Guess.task_id, Guess.answers).where(Guess.project_id == project_id)
            return {row.task_id: row.answers for row in session.execute(query)}

    def confirm(self, project_id: int, task: int, question: str, answer: str) -> None:
        """Store that people called a label right; `answer` as JSON."""
        with self._changing(project_id) as session:
            session.get_one(Project, project_id)
            session.merge(Confirmed(project_id=project_id, task_id=task, question=question, answer=answer))

    def confirmed(self, project_id: int) -> set[tuple[int, str, str]]:
        """(task id, question, answer as JSON) of the labels that people called right."""
        with self._session() as session:
            query = select(Confirmed.task_id, Confirmed.question, Confirmed.answer)
            rows = session.execute(query.where(Confirmed.project_id == project_id))
            return {(row.task_id, row.question, row.answer) for row in rows}

    def judgements(self, project_id: int) -> dict[int, list[Judgement]]:
        """Task id -> its annotations, of all annotated tasks."""
        with self._session() as session:
            query = select(Task.id, Task.judgements).where(Task.project_id == project_id, Task.annotations > 0)
            return {row.id: [Judgement(**each) for each in row.judgements] for row in session.execute(query)}

    def forget_findings(self, project_id: int, kinds: Sequence[str]) -> None:
        """Delete the findings of these kinds."""
        with self._session.begin() as session:
            session.execute(delete(Finding).where(Finding.project_id == project_id, Finding.kind.in_(kinds)))
