"""The tables. One row per project, one per task, one ranking per project, one row for the worker."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Double, ForeignKey, Index, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

REVISION = "0004"
"""The newest script of `migrations/`, which makes these tables of older ones."""

NEW, READY, UNREADABLE = "new", "ready", "unreadable"
"""States of a task: its image is to be fetched; is in the pixel store; was set aside with a reason."""

WAITING, IMAGES, PRETEXT, TRAINING, READY_STAGE, ERROR = "waiting", "images", "pretext", "training", "ready", "error"
"""Stages of a project, as `/api/status` shows them."""


class Base(DeclarativeBase):
    """All tables."""

    type_annotation_map: ClassVar = {
        dict[str, Any]: JSON(none_as_null=True),
        list[dict[str, Any]]: JSON(none_as_null=True),
        list[str]: JSON,
        str: Text,
        float: Double,
    }


class Schema(Base):
    """One row: a number by which releases before 0.2.0, which know no migrations, refuse the database."""

    __tablename__ = "schema"
    version: Mapped[int] = mapped_column(primary_key=True)


class Project(Base):
    """A Label Studio project that was connected, and all the loop needs to remember of it."""

    __tablename__ = "project"
    # Ids are never used again: a step of the worker may outlive its project.
    __table_args__ = (UniqueConstraint("label_studio_url", "number", "created"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    label_studio_url: Mapped[str]
    number: Mapped[int]  # the project's id in Label Studio
    created: Mapped[str]  # unix seconds as /setup sends them: tells a re-used id from the old project
    access_token: Mapped[str] = mapped_column(default="")  # of /setup; belongs to label_studio_url
    title: Mapped[str] = mapped_column(default="")
    label_config: Mapped[str] = mapped_column(default="")
    questions: Mapped[list[dict[str, Any]]] = mapped_column(default=list)  # fields of `Question`
    notes: Mapped[list[str]] = mapped_column(default=list)  # what of the label config is not learnt

    # Wake-ups, unix seconds. Written by the web process, read by the worker.
    wake_at: Mapped[float] = mapped_column(default=0.0)
    train_requested_at: Mapped[float] = mapped_column(default=0.0)
    retried_at: Mapped[float] = mapped_column(default=0.0)  # when images that were set aside were last tried again
    looked_at: Mapped[float] = mapped_column(default=0.0)  # the wake-up that the worker's last look answered

    # What has been seen of Label Studio
    cursor: Mapped[str] = mapped_column(default="")
    labels_revision: Mapped[int] = mapped_column(default=0)  # grows with every change of a label or of the pool

    # The pool
    image_size: Mapped[int] = mapped_column(default=0)
    dense: Mapped[bool] = mapped_column(default=False)  # whether the images are learnt as segmentation needs them
    next_row: Mapped[int] = mapped_column(default=0)  # first unused row of the pixel store
    cycles: Mapped[int] = mapped_column(default=0)
    query_size: Mapped[int] = mapped_column(default=0)
    order: Mapped[str] = mapped_column(default="")

    # Networks. Generation 0: none yet.
    pretext_generation: Mapped[int] = mapped_column(default=0)
    pretext_pool: Mapped[int] = mapped_column(default=0)  # images it was trained on that are left, at most
    main_generation: Mapped[int] = mapped_column(default=0)
    main_labels: Mapped[int] = mapped_column(default=0)  # labels it was trained on
    main_round: Mapped[int] = mapped_column(default=-1)  # round whose labels it has seen
    main_requested_at: Mapped[float] = mapped_column(default=0.0)  # the request that its training answered

    # The queue
    ranked_revision: Mapped[int] = mapped_column(default=-1)  # labels_revision the ranking was made from
    model_version: Mapped[str] = mapped_column(default="")  # what is published now
    published: Mapped[list[int]] = mapped_column(JSON, default=list)  # its tasks in serving order
    retired: Mapped[list[dict[str, Any]]] = mapped_column(default=list)  # versions before it that must stay

    # What /api/status says
    stage: Mapped[str] = mapped_column(default=WAITING)
    stage_progress: Mapped[float] = mapped_column(default=0.0)
    stage_detail: Mapped[str] = mapped_column(default="for the worker")
    eta_seconds: Mapped[float | None]
    error: Mapped[str] = mapped_column(default="")
    round: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[float] = mapped_column(default=0.0)


class Task(Base):
    """One task of a project."""

    __tablename__ = "task"
    __table_args__ = (Index("task_by_state", "project_id", "state"),)

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)  # in Label Studio
    image: Mapped[str]
    version: Mapped[str]
    answers: Mapped[dict[str, Any] | None]  # None: not labelled; of a segmentation a digest of its regions
    regions: Mapped[list[dict[str, Any]] | None] = mapped_column(deferred=True)
    notes: Mapped[list[str]] = mapped_column(default=list)  # what of its annotations could not be used
    skipped: Mapped[bool] = mapped_column(default=False)
    annotations: Mapped[int] = mapped_column(default=0)
    cancelled: Mapped[int] = mapped_column(default=0)

    state: Mapped[str] = mapped_column(default=NEW)
    # Why it is unreadable. Of a readable one, what is odd with its file, and on further lines, what of its regions was
    # not drawn.
    reason: Mapped[str] = mapped_column(default="")
    row: Mapped[int | None]  # in the pixel store
    width: Mapped[int] = mapped_column(default=0)  # of the upright image, in pixels; 0: not known
    height: Mapped[int] = mapped_column(default=0)
    pretext_loss: Mapped[float | None]
    batch: Mapped[int | None]


class Announced(Base):
    """What a platform says of a project before all is listed."""

    __tablename__ = "announced"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    tasks: Mapped[int]


class Ranking(Base):
    """The newest opinion on every image, as arrays: what `/predict` answers from."""

    __tablename__ = "ranking"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    stamp: Mapped[float]  # unix seconds; changes with every ranking
    questions: Mapped[list[dict[str, Any]]]
    arrays: Mapped[bytes] = mapped_column(LargeBinary)


class Worker(Base):
    """The one worker and what it is doing. `id` is always 1."""

    __tablename__ = "worker"

    id: Mapped[int] = mapped_column(primary_key=True)
    heartbeat_at: Mapped[float]
    device: Mapped[str]
    busy_with: Mapped[str] = mapped_column(default="")


class Vitals(Base):
    """More of the one worker. `id` is always 1."""

    __tablename__ = "vitals"

    id: Mapped[int] = mapped_column(primary_key=True)
    starting_at: Mapped[float] = mapped_column(default=0.0)  # the last sign of a worker that is being started
    cpu_got: Mapped[float | None]  # in processors, over the last seconds; None: not known
    cpu_wanted: Mapped[float | None]
    trouble: Mapped[str] = mapped_column(default="")  # why it waits: the disk, or the database
