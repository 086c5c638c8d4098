"""Everything that outlives a process, behind small methods. Each method is one transaction.

The web process and the worker meet only here. The web process writes `wake_at`,
`train_requested_at` and what `/setup` tells; the worker writes the rest. Updates name
their columns, so neither undoes the other's.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Select, case, delete, select, update
from sqlalchemy.exc import IntegrityError

from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.labelling.questions import Question
from pt4al_backend.store.migrate import WORKER_LOCK
from pt4al_backend.store.pool_scores import RankingArrays
from pt4al_backend.store.tables import Announced, Project, Ranking, Task, Vitals, Worker
from pt4al_backend.store.tasks import PoolArrays, TaskStore, Totals

__all__ = ["PoolArrays", "Store", "Totals"]

UNKNOWN_AT_MOST = 100
"""Projects of which nothing is known but that somebody asked us to serve them."""
TICK = 0.001  # seconds between two wake-ups, at least


class Store(TaskStore):
    """Database and directories under `data_dir`."""

    # Projects

    def connect(
        self, *, url: str, number: int, created: str, access_token: str, label_config: str, only: bool = False
    ) -> Project:
        """Remember a project that Label Studio set up, and wake the worker for it.

        A name without the time (`created` is "") means the project of that number, whose time may be told later.
        `only`: there is no Label Studio but that at `url`. A project of the same number and time that is known
        from another address then is this one.
        """
        try:
            return self._connect(url, number, created, access_token, label_config, only)
        except IntegrityError:  # another request was first
            return self._connect(url, number, created, access_token, label_config, only)

    def _connect(
        self, url: str, number: int, created: str, access_token: str, label_config: str, only: bool
    ) -> Project:
        with self._session.begin() as session:
            numbered = select(Project).where(Project.number == number)
            here, same = Project.label_studio_url == url, Project.created == created
            untimed = numbered.where(here, Project.created == "")
            newest = numbered.where(here).order_by(Project.id.desc())
            known = [numbered.where(here, same), untimed if created else newest]
            if only and created:
                known.append(numbered.where(same).order_by(Project.id))
            project = next(filter(None, map(session.scalar, known)), None)
            if project is None:
                session.execute(delete(Project).where(Project.id.in_(_to_make_room())))
                project = Project(number=number, created=created)
                session.add(project)
            project.created = project.created or created
            if project.label_studio_url != url:
                project.label_studio_url, project.access_token = url, ""  # a token belongs to its address
            if access_token:
                project.access_token = access_token
            project.label_config = project.label_config or label_config
            project.wake_at = max(time.time(), (project.wake_at or 0.0) + TICK)
        return project

    def projects(self) -> list[Project]:
        """All projects, oldest first."""
        with self._session() as session:
            return list(session.scalars(select(Project).order_by(Project.id)))

    def project(self, project_id: int) -> Project | None:
        """One project by our own id."""
        with self._session() as session:
            return session.get(Project, project_id)

    def find(self, number: int, created: str | None = None) -> list[Project]:
        """Projects by Label Studio's id; several where several Label Studios are served."""
        query = select(Project).where(Project.number == number).order_by(Project.id.desc())
        if created:
            query = query.where(Project.created == created)
        with self._session() as session:
            return list(session.scalars(query))

    def update(self, project_id: int, **columns: Any) -> None:
        """Set columns of a project."""
        with self._session.begin() as session:
            session.execute(update(Project).where(Project.id == project_id).values(updated_at=time.time(), **columns))

    def announce(self, project_id: int, *, tasks: int) -> None:
        """How many tasks a project has, listed or not."""
        with self._changing(project_id) as session:
            if session.get(Project, project_id) is not None:  # it may have been forgotten meanwhile
                session.merge(Announced(project_id=project_id, tasks=tasks))

    def announced(self, project_id: int) -> int:
        """How many tasks a project was last said to have; 0 while that is not known."""
        with self._session() as session:
            return session.scalar(select(Announced.tasks).where(Announced.project_id == project_id)) or 0

    def wake(self, project_ids: Iterable[int], *, train: bool = False) -> None:
        """Leave a wake-up for the worker. Many merge into one."""
        now = time.time()
        later = case((Project.wake_at >= now, Project.wake_at + TICK), else_=now)  # also where the clock was set back
        columns = {"wake_at": later, "train_requested_at": later} if train else {"wake_at": later}
        with self._session.begin() as session:
            session.execute(update(Project).where(Project.id.in_(list(project_ids))).values(**columns))

    def wake_times(self) -> dict[int, float]:
        """When each project was last woken: what the worker checks many times a second."""
        with self._session() as session:
            return {row.id: row.wake_at for row in session.execute(select(Project.id, Project.wake_at))}

    def forget(self, project_id: int) -> None:
        """Delete a project's rows and directories."""
        with self._session.begin() as session:
            for table in (Task, Ranking, Announced):
                session.execute(delete(table).where(table.project_id == project_id))
            session.execute(delete(Project).where(Project.id == project_id))
        for directory in (self.pixels_dir(project_id), self.models_dir(project_id)):
            shutil.rmtree(directory, ignore_errors=True)

    def pixels_dir(self, project_id: int) -> Path:
        """Where a project's decoded images live."""
        return self.data_dir / "pixels" / str(project_id)

    def models_dir(self, project_id: int) -> Path:
        """Where a project's networks and features live."""
        return self.data_dir / "models" / str(project_id)

    # Rankings

    def save_ranking(
        self, project_id: int, arrays: RankingArrays, *, questions: Sequence[dict[str, Any]], **columns: Any
    ) -> None:
        """Replace a project's ranking, with project `columns` in the same transaction."""
        with self._changing(project_id) as session:
            session.merge(
                Ranking(project_id=project_id, stamp=time.time(), questions=list(questions), arrays=arrays.to_bytes())
            )
            session.execute(update(Project).where(Project.id == project_id).values(updated_at=time.time(), **columns))

    def ranking_stamp(self, project_id: int) -> float | None:
        """When the ranking was made; tells a cache whether it is stale."""
        with self._session() as session:
            return session.scalar(select(Ranking.stamp).where(Ranking.project_id == project_id))

    def ranking(self, project_id: int) -> tuple[RankingArrays, tuple[Question, ...]] | None:
        """The newest ranking and the questions its guesses answer."""
        with self._session() as session:
            ranking = session.get(Ranking, project_id)
        if ranking is None:
            return None
        return RankingArrays.from_bytes(ranking.arrays), questions_of(ranking.questions)

    # The worker

    def worker_starts(self) -> None:
        """A worker is being started: it can do nothing yet."""
        with self._session.begin() as session:
            session.merge(Vitals(id=1, starting_at=time.time(), cpu_got=None, cpu_wanted=None, trouble=""))

    def beat(self, *, device: str, busy_with: str, trouble: str = "", cpu: tuple[float, float] | None = None) -> None:
        """The worker lives; this is what it does, why it waits if it does, and what it gets of the processors."""
        got, wanted = cpu or (None, None)
        with self._session.begin() as session:
            session.merge(Worker(id=1, heartbeat_at=time.time(), device=device, busy_with=busy_with))
            session.merge(Vitals(id=1, starting_at=0.0, cpu_got=got, cpu_wanted=wanted, trouble=trouble))

    def worker_ends(self) -> None:
        """The worker ends, on purpose."""
        with self._session.begin() as session:
            session.execute(update(Worker).values(heartbeat_at=0.0))
            session.execute(update(Vitals).values(starting_at=0.0, trouble=""))

    def worker(self) -> Worker | None:
        """The worker's last heartbeat, if there ever was one."""
        with self._session() as session:
            worker = session.get(Worker, 1)
        if worker is not None:
            worker.heartbeat_at = max(worker.heartbeat_at, self._touched())
        return worker

    def vitals(self) -> Vitals:
        """What else is known of the worker."""
        with self._session() as session:
            return session.get(Vitals, 1) or Vitals(id=1, starting_at=0.0, trouble="")

    def _touched(self) -> float:
        """When the worker last touched its lock: it does where the database cannot be written."""
        try:
            return (self.data_dir / WORKER_LOCK).stat().st_mtime
        except OSError:
            return 0.0


def _to_make_room() -> Select[int]:
    """Unknown projects that are too many with one more: those that were not woken for longest."""
    unknown = select(Project.id).where(Project.title == "", Project.cursor == "")
    return unknown.order_by(Project.wake_at.desc()).offset(UNKNOWN_AT_MOST - 1)
