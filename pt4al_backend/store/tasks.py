"""The tasks of the projects: their images, labels and batches."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import and_, case, delete, func, or_, select, text, update
from sqlalchemy.exc import IntegrityError, NoResultFound
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import StaleDataError

from pt4al_backend.errors import ProjectResetError
from pt4al_backend.labelling.platform import TaskState
from pt4al_backend.labelling.questions import Answers
from pt4al_backend.store.database import Database
from pt4al_backend.store.tables import NEW, NOTED, READY, UNREADABLE, Project, Task

DIGEST = 16
"""Length in bytes of the digest of an image's regions."""


@dataclass(frozen=True)
class PoolArrays:
    """All n usable images of a project, sorted by task id."""

    task: NDArray[np.int64]
    """(n,) task ids."""
    row: NDArray[np.int64]
    """(n,) rows of the pixel store."""
    loss: NDArray[np.float64]
    """(n,) pretext losses; NaN if not known yet."""
    batch: NDArray[np.int64]
    """(n,) batches; -1 if not known yet."""
    rank: NDArray[np.int64]
    """(n,) places by pretext loss, the hardest first; -1 if not known yet."""
    labelled: NDArray[np.bool_]
    """(n,) whether at least one question is answered."""
    skipped: NDArray[np.bool_]
    """(n,) whether the task was skipped."""
    held_out: NDArray[np.bool_]
    """(n,) whether the image measures the model: it is never trained on, labelled or not."""

    def __len__(self) -> int:
        return len(self.task)

    @property
    def training(self) -> NDArray[np.bool_]:
        """(n,) whether it is labelled and learned from."""
        return self.labelled & ~self.held_out

    @property
    def open(self) -> NDArray[np.bool_]:
        """(n,) whether it can still be labelled."""
        return ~self.labelled & ~self.skipped

    def in_batches(self) -> PoolArrays:
        """The part of the pool that is in batches; the rest has no pretext loss yet."""
        inside = (self.batch >= 0) & np.isfinite(self.loss)
        return PoolArrays(**{name: array[inside] for name, array in vars(self).items()})


@dataclass(frozen=True)
class Totals:
    """Counts over all tasks of a project, usable or not."""

    tasks: int = 0
    annotations: int = 0
    cancelled: int = 0
    labelled: int = 0
    waiting: int = 0
    """Images that are still to be fetched."""
    pool: int = 0
    unreadable: int = 0


COUNTED_AS = {NEW: "waiting", READY: "pool", UNREADABLE: "unreadable"}


class TaskStore(Database):
    """Each method is one transaction."""

    @contextmanager
    def _changing(self, project_id: int) -> Iterator[Session]:
        """A transaction that changes a project's rows.

        Raises:
            ProjectResetError: The project was forgotten meanwhile.
        """
        try:
            with self._session.begin() as session:
                yield session
        except (IntegrityError, NoResultFound, StaleDataError):
            with self._session() as session:
                if session.get(Project, project_id) is not None:
                    raise
            raise ProjectResetError(project_id) from None

    def apply(self, project_id: int, states: Sequence[TaskState], *, regions: str = "") -> bool:
        """Store the states of tasks in Label Studio.

        The image of a task is fetched again if its value changed, or if it was unreadable and the task changed in
        any way.

        Args:
            project_id: The project.
            states: The states.
            regions: Name of the question whose answers are regions; "" if there is none.

        Returns:
            Whether any task is new or changed.

        Raises:
            ProjectResetError: The project was forgotten meanwhile.
        """
        changed = False
        with self._changing(project_id) as session:
            ids = [state.id for state in states]
            known = {
                task.id: task
                for task in session.scalars(select(Task).where(Task.project_id == project_id, Task.id.in_(ids)))
            }
            for state in states:
                answers, drawn = _stored(state.answers, regions)
                task = known.get(state.id)
                if task is None:
                    task = Task(project_id=project_id, id=state.id, image=state.image, state=NEW)
                    session.add(task)
                elif (task.version, task.answers, task.image, task.notes) == (
                    state.version,
                    answers,
                    state.image,
                    list(state.notes),
                ):
                    continue
                elif task.image != state.image or task.state == UNREADABLE:
                    task.image, task.state, task.reason, task.pretext_loss = state.image, NEW, "", None
                task.answers, task.regions, task.notes = answers, drawn, list(state.notes)
                task.labelled = answers is not None
                task.version, task.skipped = state.version, state.skipped
                task.annotations, task.cancelled = state.annotations, state.cancelled
                task.judgements = [asdict(judgement) for judgement in state.judgements]
                changed = True
            if changed:
                _revise(session, project_id)
        return changed

    def readdress(self, project_id: int, images: Mapping[int, str]) -> bool:
        """Store image values by task id; images whose value changed are fetched again. Returns whether any did."""
        changed = False
        with self._changing(project_id) as session:
            for chunk in _chunks(list(images)):
                for task in session.scalars(select(Task).where(Task.project_id == project_id, Task.id.in_(chunk))):
                    if task.image != images[task.id]:
                        task.image, task.state, task.reason, task.pretext_loss = images[task.id], NEW, "", None
                        changed = True
            if changed:
                _revise(session, project_id)
        return changed

    def unreadable_tasks(self, project_id: int, *, after: int, limit: int) -> list[int]:
        """Ids of tasks with excluded images, sorted: at most `limit`, beginning after `after`."""
        with self._session() as session:
            query = select(Task.id).where(Task.project_id == project_id, Task.state == UNREADABLE, Task.id > after)
            return list(session.scalars(query.order_by(Task.id).limit(limit)))

    def task_ids(self, project_id: int) -> list[int]:
        """All known task ids, sorted."""
        with self._session() as session:
            return list(session.scalars(select(Task.id).where(Task.project_id == project_id).order_by(Task.id)))

    def remove_tasks(self, project_id: int, ids: Iterable[int]) -> None:
        """Delete tasks that no longer exist in Label Studio."""
        with self._session.begin() as session:
            for chunk in _chunks(sorted(ids)):
                session.execute(delete(Task).where(Task.project_id == project_id, Task.id.in_(chunk)))
            _revise(session, project_id)

    def waiting_images(self, project_id: int, *, after: int = -1, limit: int = 256) -> list[tuple[int, str]]:
        """(task id, image value) of images still to be fetched, sorted: at most `limit`, beginning after `after`."""
        with self._session() as session:
            query = select(Task.id, Task.image).where(Task.project_id == project_id, Task.state == NEW, Task.id > after)
            return [(row.id, row.image) for row in session.execute(query.order_by(Task.id).limit(limit))]

    def first_images(self, project_id: int, limit: int) -> list[tuple[int, str]]:
        """(task id, image value) of the first `limit` tasks in any state."""
        with self._session() as session:
            query = select(Task.id, Task.image).where(Task.project_id == project_id)
            return [(row.id, row.image) for row in session.execute(query.order_by(Task.id).limit(limit))]

    def images(self, project_id: int, ids: Sequence[int]) -> list[tuple[int, str]]:
        """(task id, image value) of those of `ids` that exist, sorted."""
        with self._session() as session:
            query = select(Task.id, Task.image).where(Task.project_id == project_id, Task.id.in_(ids))
            return [(row.id, row.image) for row in session.execute(query.order_by(Task.id))]

    def stored_image(self, project_id: int, task: int) -> tuple[int, int, int, str] | None:
        """A readable task's row in the pixel store, width and height in pixels, and version; None without one."""
        columns = (Task.row, Task.width, Task.height, Task.version)
        query = select(*columns).where(Task.project_id == project_id, Task.id == task, Task.state == READY)
        with self._session() as session:
            row = session.execute(query.where(Task.row.is_not(None))).one_or_none()
        return None if row is None else (row.row, row.width, row.height, row.version)

    def readable_image(self, project_id: int, *, besides: Collection[tuple[int, str]] = ()) -> tuple[int, str] | None:
        """(task id, image value) of an image that was readable and is not in `besides`; None if there is none."""
        with self._session() as session:
            query = select(Task.id, Task.image).where(Task.project_id == project_id, Task.state == READY)
            rows = session.execute(query.order_by(Task.id.desc()).limit(len(besides) + 1))
            return next(((row.id, row.image) for row in rows if (row.id, row.image) not in besides), None)

    def typical_side(self, project_id: int, *, sample: int = 64) -> int:
        """The median of the shorter sides of the first images that could be read, in pixels; 0 if none could."""
        with self._session() as session:
            query = select(Task.width, Task.height).where(
                Task.project_id == project_id, Task.state == READY, Task.width > 0
            )
            sides = [min(row.width, row.height) for row in session.execute(query.order_by(Task.id).limit(sample))]
        return int(np.median(sides)) if sides else 0

    def reserve_rows(self, project_id: int, ids: Sequence[int]) -> NDArray[np.int64]:
        """Assign rows of the pixel store to tasks. A task keeps a row that it has.

        Returns:
            (n,) rows, -1 for tasks that do not exist.
        """
        with self._changing(project_id) as session:
            project = session.get_one(Project, project_id)
            query = select(Task).where(Task.project_id == project_id, Task.id.in_(ids))
            tasks = {task.id: task for task in session.scalars(query)}
            for task_id in ids:
                task = tasks.get(task_id)
                if task is not None and task.row is None:
                    task.row, project.next_row = project.next_row, project.next_row + 1
            rows = [-1 if (task := tasks.get(i)) is None or task.row is None else task.row for i in ids]
        return np.array(rows, dtype=np.int64)

    def images_done(
        self,
        project_id: int,
        *,
        ready: Mapping[int, tuple[str, int, int]],
        failed: Mapping[int, tuple[str, str]],
        notes: Mapping[int, str] | None = None,
    ) -> None:
        """Store the results of fetching images. A task whose image value changed meanwhile is left to be fetched.

        Args:
            project_id: The project.
            ready: Task id -> (image value, width, height), in pixels, of images that were read.
            failed: Task id -> (image value, reason) of unreadable ones.
            notes: Task id -> what is odd about the file of an image that was read.
        """
        with self._changing(project_id) as session:
            for chunk in _chunks(list(ready)):
                for task in session.scalars(select(Task).where(Task.project_id == project_id, Task.id.in_(chunk))):
                    value, width, height = ready[task.id]
                    if task.state == NEW and task.image == value:
                        task.state, task.reason = READY, (notes or {}).get(task.id, "")
                        task.width, task.height = width, height
            for task_id, (value, reason) in failed.items():
                same = (Task.project_id == project_id, Task.id == task_id, Task.image == value)
                session.execute(update(Task).where(*same, Task.state == NEW).values(state=UNREADABLE, reason=reason))

    def pool(self, project: Project) -> PoolArrays:
        """All usable images of a project."""
        columns = (
            *(Task.id, Task.row, Task.pretext_loss, Task.batch),
            *(Task.labelled, Task.skipped, Task.held_out),
        )
        query = select(*columns).where(Task.project_id == project.id, Task.state == READY).order_by(Task.id)
        with self._session() as session:
            records = session.execute(query).all()
        columns_of = zip(*records, strict=True) if records else ((),) * len(columns)
        ids, rows, losses, batches, labelled, skipped, held_out = columns_of
        task = np.array(ids, dtype=np.int64)
        loss = np.array([np.nan if x is None else x for x in losses], dtype=np.float64)
        return PoolArrays(
            task=task,
            row=np.array(rows, dtype=np.int64),
            loss=loss,
            batch=np.array([-1 if x is None else x for x in batches], dtype=np.int64),
            rank=_ranks(loss, task),
            labelled=np.array(labelled, dtype=bool),
            skipped=np.array(skipped, dtype=bool),
            held_out=np.array(held_out, dtype=bool),
        )

    def hold_out(self, project_id: int, ids: Sequence[int], *, held_out: bool = True) -> None:
        """Mark tasks as those that measure the model, or no longer."""
        with self._changing(project_id) as session:
            for chunk in _chunks(ids):
                these = (Task.project_id == project_id, Task.id.in_(chunk))
                session.execute(update(Task).where(*these).values(held_out=held_out))

    def save_batches(
        self,
        project_id: int,
        *,
        task: NDArray[np.int64],
        loss: NDArray[np.float64],
        batch: NDArray[np.int64],
        **columns: Any,
    ) -> None:
        """Store (n,) losses and batches, and project `columns`, in one transaction.

        Tasks that were deleted, or whose image changed, meanwhile are left out.
        """
        rows = [
            {"project_id": project_id, "id": int(t), "pretext_loss": float(x), "batch": int(b)}
            for t, x, b in zip(task, loss, batch, strict=True)
        ]
        with self._changing(project_id) as session:
            if rows:
                query = select(Task.id).where(Task.project_id == project_id, Task.state == READY)
                existing = set(session.scalars(query))
                session.execute(update(Task), [row for row in rows if row["id"] in existing])
            _revise(session, project_id, **columns)

    def fetch_again(self, project_id: int) -> None:
        """Mark every image to be fetched again, and forget what was computed from the old ones."""
        with self._session.begin() as session:
            session.execute(
                update(Task)
                .where(Task.project_id == project_id)
                .values(state=NEW, reason="", pretext_loss=None, batch=None)
            )
            _revise(
                session,
                project_id,
                image_size=0,
                encoder="",
                input_size=0,
                ranked_pool=0,
                tuned_generation=0,
                tuned_labels=0,
                tuned_accuracy=None,
                probe_accuracy=None,
                pretext_generation=0,
                pretext_pool=0,
                main_generation=0,
                main_labels=0,
                main_round=-1,
            )

    def retry_unreadable(self, project_id: int) -> None:
        """Mark every excluded image to be fetched again."""
        with self._session.begin() as session:
            session.execute(
                update(Task).where(Task.project_id == project_id, Task.state == UNREADABLE).values(state=NEW, reason="")
            )

    def unreadable(self, project_id: int, limit: int = 20) -> list[tuple[int, str]]:
        """(task id, reason) of excluded images, sorted: at most `limit`."""
        with self._session() as session:
            query = select(Task.id, Task.reason).where(Task.project_id == project_id, Task.state == UNREADABLE)
            return [(row.id, row.reason) for row in session.execute(query.order_by(Task.id).limit(limit))]

    def annotation_counts(self, project_id: int, ids: Sequence[int]) -> dict[int, int]:
        """Task id -> how many annotations it has, as far as known."""
        with self._session() as session:
            query = select(Task.id, Task.annotations).where(Task.project_id == project_id, Task.id.in_(ids))
            return {row.id: row.annotations for row in session.execute(query)}

    def still_open(self, project_id: int, ids: Iterable[int], *, overlap: int = 1) -> set[int]:
        """Those of `ids` that exist and have fewer annotations, skipped ones included, than `overlap` (at least 1)."""
        open_tasks: set[int] = set()
        annotations = Task.annotations + Task.cancelled
        with self._session() as session:
            for chunk in _chunks(sorted(ids)):
                query = select(Task.id).where(Task.project_id == project_id, Task.id.in_(chunk))
                open_tasks.update(session.scalars(query.where(annotations < max(overlap, 1))))
        return open_tasks

    def answers(self, project_id: int) -> dict[int, Answers]:
        """Task id -> answers of every labelled task, sorted by id. Regions are given by their digest."""
        with self._session() as session:
            query = select(Task.id, Task.answers).where(Task.project_id == project_id, Task.answers.is_not(None))
            return {row.id: row.answers for row in session.execute(query.order_by(Task.id))}

    def regions(self, project_id: int, ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """Task id -> regions, for those of `ids` that have regions."""
        regions: dict[int, list[dict[str, Any]]] = {}
        with self._session() as session:
            for chunk in _chunks(ids):
                query = select(Task.id, Task.regions).where(Task.project_id == project_id, Task.id.in_(chunk))
                regions |= {row.id: row.regions for row in session.execute(query) if row.regions is not None}
        return regions

    def sizes(self, project_id: int, ids: Sequence[int]) -> dict[int, tuple[int, int]]:
        """Task id -> width and height of its upright image in pixels, (0, 0) if not known."""
        with self._session() as session:
            query = select(Task.id, Task.width, Task.height).where(Task.project_id == project_id, Task.id.in_(ids))
            return {row.id: (row.width, row.height) for row in session.execute(query)}

    def note_drawing(self, project_id: int, task_id: int, notes: Sequence[str]) -> None:
        """Replace the notes about regions of a readable image that could not be drawn."""
        with self._changing(project_id) as session:
            task = session.get(Task, (project_id, task_id))
            if task is not None and task.state == READY:
                task.reason = "\n".join([task.reason.partition("\n")[0], *notes])

    def notes(self, project_id: int, limit: int = 20) -> list[tuple[int, str]]:
        """(task id, sentence) about odd images and unusable parts of annotations, sorted by id: at most `limit`."""
        return self.notes_of([project_id], limit).get(project_id, [])

    def notes_of(self, project_ids: Collection[int], limit: int) -> dict[int, list[tuple[int, str]]]:
        """Project -> its `notes`, of projects that have any."""
        odd = and_(Task.state == READY, Task.reason != "")
        columns = (
            *(Task.project_id, Task.id, Task.notes, case((odd, Task.reason), else_="").label("reason")),
            Task.labelled,
            func.row_number().over(partition_by=Task.project_id, order_by=Task.id).label("place"),
        )
        noted = or_(func.json_array_length(Task.notes) > 0, odd)
        query = select(*columns).where(Task.project_id.in_(project_ids), text(NOTED), noted).subquery()
        notes: dict[int, list[tuple[int, str]]] = defaultdict(list)
        with self._session() as session:
            rows = session.execute(select(query).where(query.c.place <= limit).order_by(query.c.project_id, query.c.id))
            for row in rows:
                file_note, *region_notes = row.reason.split("\n")
                sentences = [file_note, *row.notes, *(region_notes if row.labelled else ())]
                notes[row.project_id] += [(row.id, sentence) for sentence in sentences if sentence]
        return {project_id: listed[:limit] for project_id, listed in notes.items()}

    def totals(self, project_id: int) -> Totals:
        """Counts over all tasks of a project."""
        return self.totals_of([project_id])[project_id]

    def totals_of(self, project_ids: Collection[int]) -> dict[int, Totals]:
        """Project -> counts over all its tasks."""
        sums = (func.count(), func.sum(Task.annotations), func.sum(Task.cancelled))
        groups = (Task.project_id, Task.state, Task.labelled)
        query = select(*groups, *sums).where(Task.project_id.in_(project_ids)).group_by(*groups)
        counts: dict[int, Counter[str]] = {project_id: Counter() for project_id in project_ids}
        with self._session() as session:
            for project_id, state, labelled, tasks, annotations, cancelled in session.execute(query):
                counted = {"tasks": tasks, "annotations": annotations, "cancelled": cancelled}
                counts[project_id].update(counted | {"labelled": tasks * labelled, COUNTED_AS[state]: tasks})
        return {project_id: Totals(**counted) for project_id, counted in counts.items()}


def regions_digest(regions: list[dict[str, Any]]) -> str:
    """The digest that stands for an image's regions in its answers."""
    return hashlib.blake2b(json.dumps(regions, sort_keys=True).encode(), digest_size=DIGEST).hexdigest()


def _ranks(loss: NDArray[np.float64], task: NDArray[np.int64]) -> NDArray[np.int64]:
    """(n,) place of each image by loss, the hardest first, equal losses by task id; -1 without a loss."""
    ranks = np.empty(len(loss), dtype=np.int64)
    ranks[np.lexsort((task, -loss))] = np.arange(len(loss))  # NaN sorts last
    return np.where(np.isnan(loss), -1, ranks)


def _stored(answers: Answers, name: str) -> tuple[Answers | None, list[dict[str, Any]] | None]:
    """The columns `answers` and `regions`: regions of question `name` are separate, so that answers load quickly."""
    if name not in answers:
        return answers or None, None
    regions = answers[name]
    return answers | {name: regions_digest(regions)}, regions


def _revise(session: Session, project_id: int, **columns: Any) -> None:
    session.execute(
        update(Project)
        .where(Project.id == project_id)
        .values(labels_revision=Project.labels_revision + 1, updated_at=time.time(), **columns)
    )


def _chunks(ids: Sequence[int], size: int = 500) -> Iterable[Sequence[int]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
