"""Everything that outlives a process, behind small methods. Each method is one transaction.

The web process and the worker communicate only through the store. The web process writes `wake_at`,
`train_requested_at` and the data of `/setup`; the worker writes everything else. Updates name their columns, so
neither overwrites what the other wrote.
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
from pt4al_backend.store.overviews import OverviewStore
from pt4al_backend.store.pool_scores import RankingArrays
from pt4al_backend.store.tables import (
    Announced,
    Confirmed,
    Finding,
    Guess,
    Measurement,
    Project,
    Ranking,
    Task,
    Vitals,
    Worker,
)
from pt4al_backend.store.tasks import PoolArrays, Totals

__all__ = ["PoolArrays", "Store", "Totals"]

UNKNOWN_AT_MOST = 100
"""How many projects may be stored that were connected but never synced: anybody can make a /setup request."""
TICK = 0.001  # least seconds between two wake-ups


class Store(OverviewStore):
    """Database and directories under `data_dir`."""

    # Projects

    def connect(
        self, *, url: str, number: int, created: str, access_token: str, label_config: str, only: bool = False
    ) -> Project:
        """Store a project that Label Studio set up, and wake the worker for it.

        Args:
            url: Address of its Label Studio.
            number: Its id there.
            created: When it was created, in unix seconds. "" means the project with that number; a later request may
                add the time.
            access_token: The token of `/setup`; "" keeps a known one.
            label_config: Its label config; ignored if one is known.
            only: Whether the Label Studio at `url` is the only one. A project with the same number and time at
                another address is then the same project.

        Returns:
            The new or known project.
        """
        try:
            return self._connect(url, number, created, access_token, label_config, only)
        except IntegrityError:  # another request was faster
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
        """The project with this id of ours; None if there is none."""
        with self._session() as session:
            return session.get(Project, project_id)

    def find(self, number: int, created: str | None = None) -> list[Project]:
        """The projects with this id in Label Studio, newest first; several if several Label Studios are served."""
        query = select(Project).where(Project.number == number).order_by(Project.id.desc())
        if created:
            query = query.where(Project.created == created)
        with self._session() as session:
            return list(session.scalars(query))

    def update(self, project_id: int, **columns: Any) -> None:
        """Set columns of a project; does nothing if it was forgotten."""
        with self._session.begin() as session:
            session.execute(update(Project).where(Project.id == project_id).values(updated_at=time.time(), **columns))

    def announce(self, project_id: int, *, tasks: int) -> None:
        """Store how many tasks a project has, synced or not."""
        with self._changing(project_id) as session:
            if session.get(Project, project_id) is not None:  # it may have been forgotten meanwhile
                session.merge(Announced(project_id=project_id, tasks=tasks))

    def wake(self, project_ids: Iterable[int], *, train: bool = False) -> None:
        """Leave a wake-up for the worker. Many merge into one."""
        now = time.time()
        later = case((Project.wake_at >= now, Project.wake_at + TICK), else_=now)  # also where the clock was set back
        columns = {"wake_at": later, "train_requested_at": later} if train else {"wake_at": later}
        with self._session.begin() as session:
            session.execute(update(Project).where(Project.id.in_(list(project_ids))).values(**columns))

    def wake_times(self) -> dict[int, float]:
        """When each project was last woken. The worker asks this many times a second."""
        with self._session() as session:
            return {row.id: row.wake_at for row in session.execute(select(Project.id, Project.wake_at))}

    def forget(self, project_id: int) -> None:
        """Delete a project's rows and directories."""
        with self._session.begin() as session:
            for table in (Task, Ranking, Announced, Finding, Measurement, Guess, Confirmed):
                session.execute(delete(table).where(table.project_id == project_id))
            session.execute(delete(Project).where(Project.id == project_id))
        self.remove_files(project_id)

    def remove_files(self, project_id: int) -> None:
        """Delete a project's directories."""
        for directory in (self.pixels_dir(project_id), self.models_dir(project_id)):
            shutil.rmtree(directory, ignore_errors=True)

    def pixels_dir(self, project_id: int) -> Path:
        """The directory of a project's decoded images."""
        return self.data_dir / "pixels" / str(project_id)

    def models_dir(self, project_id: int) -> Path:
        """The directory of a project's networks and embeddings."""
        return self.data_dir / "models" / str(project_id)

    # Rankings

    def save_ranking(
        self,
        project_id: int,
        arrays: RankingArrays,
        *,
        questions: Sequence[dict[str, Any]],
        reasons: Sequence[dict[str, Any]] = (),
        **columns: Any,
    ) -> None:
        """Replace a project's ranking, and set project `columns` in the same transaction.

        Args:
            project_id: The project.
            arrays: The ranking.
            questions: What its predictions answer.
            reasons: Why each image of the window is in it, in serving order.
            columns: Of the project.

        Raises:
            ProjectResetError: The project was forgotten meanwhile.
        """
        with self._changing(project_id) as session:
            session.merge(
                Ranking(
                    project_id=project_id,
                    stamp=time.time(),
                    questions=list(questions),
                    arrays=arrays.to_bytes(),
                    reasons=list(reasons),
                )
            )
            session.execute(update(Project).where(Project.id == project_id).values(updated_at=time.time(), **columns))

    def ranking_stamp(self, project_id: int) -> float | None:
        """When the ranking was made, in unix seconds: tells a cache whether it is stale. None without a ranking."""
        with self._session() as session:
            return session.scalar(select(Ranking.stamp).where(Ranking.project_id == project_id))

    def ranking(self, project_id: int) -> tuple[RankingArrays, tuple[Question, ...]] | None:
        """The newest ranking and the questions that its predictions answer; None if there is none yet."""
        with self._session() as session:
            ranking = session.get(Ranking, project_id)
        if ranking is None:
            return None
        return RankingArrays.from_bytes(ranking.arrays), questions_of(ranking.questions)

    def reasons(self, project_id: int) -> list[dict[str, Any]]:
        """Why each image of the newest window is in it: the fields of each `Reason`, in serving order."""
        with self._session() as session:
            return session.scalar(select(Ranking.reasons).where(Ranking.project_id == project_id)) or []

    # The worker

    def worker_starts(self) -> None:
        """Record that a worker is being started."""
        with self._session.begin() as session:
            session.merge(Vitals(id=1, starting_at=time.time(), cpu_got=None, cpu_wanted=None, memory=None, trouble=""))

    def beat(
        self,
        *,
        device: str,
        busy_with: str,
        trouble: str = "",
        cpu: tuple[float, float] | None = None,
        memory: int | None = None,
    ) -> None:
        """Record a heartbeat of the worker.

        Args:
            device: The torch device it runs on.
            busy_with: What it is doing, for people.
            trouble: Why it waits; "" if it does not.
            cpu: The processors that it gets and wants, over the last seconds; None if unknown.
            memory: The bytes that it has in memory; None if unknown.
        """
        got, wanted = cpu or (None, None)
        with self._session.begin() as session:
            session.merge(Worker(id=1, heartbeat_at=time.time(), device=device, busy_with=busy_with))
            vitals = {"cpu_got": got, "cpu_wanted": wanted, "memory": memory, "trouble": trouble}
            session.merge(Vitals(id=1, starting_at=0.0, **vitals))

    def worker_ends(self) -> None:
        """Record that the worker stops on purpose."""
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
        """What else is known about the worker."""
        with self._session() as session:
            return session.get(Vitals, 1) or Vitals(id=1, starting_at=0.0, trouble="")

    def _touched(self) -> float:
        """When the worker last touched its lock file, which it does even if the database cannot be written."""
        try:
            return (self.data_dir / WORKER_LOCK).stat().st_mtime
        except OSError:
            return 0.0


def _to_make_room() -> Select[int]:
    """Projects to delete before another one is stored: never synced, woken the longest time ago, and too many."""
    unknown = select(Project.id).where(Project.title == "", Project.cursor == "")
    return unknown.order_by(Project.wake_at.desc()).offset(UNKNOWN_AT_MOST - 1)
