"""The tables: one row per project, one per task, one ranking per project, what was found out, the worker."""

from __future__ import annotations

from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Double, ForeignKey, Index, LargeBinary, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

REVISION = "0010"
"""The newest migration in `migrations/`, which leads to these tables."""

NEW, READY, UNREADABLE = "new", "ready", "unreadable"
"""States of a task: its image is still to be fetched, is in the pixel store, or was excluded with a reason."""

WAITING, IMAGES, PRETEXT, TRAINING, READY_STAGE, ERROR = "waiting", "images", "pretext", "training", "ready", "error"
"""Stages of a project, as `/api/status` shows them."""


NOTED = "(json_array_length(notes) > 0 OR reason != '')"
"""Tasks in `task_noted`, in SQL: a query uses the index if it says exactly the same."""


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
    """One row: the number by which releases before 0.2.0, which know no migrations, reject the database."""

    __tablename__ = "schema"
    version: Mapped[int] = mapped_column(primary_key=True)


class Project(Base):
    """A Label Studio project that was connected, and everything that the loop needs to remember about it."""

    __tablename__ = "project"
    # Ids are never reused: a step of the worker may outlive its project.
    __table_args__ = (UniqueConstraint("label_studio_url", "number", "created"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    label_studio_url: Mapped[str]
    number: Mapped[int]
    """The project's id in Label Studio."""
    created: Mapped[str]
    """Unix seconds as /setup sends them: distinguishes a project from an older one with the same id."""
    access_token: Mapped[str] = mapped_column(default="")
    """The token of /setup; belongs to `label_studio_url`."""
    title: Mapped[str] = mapped_column(default="")
    label_config: Mapped[str] = mapped_column(default="")
    questions: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """The fields of each `Question`."""
    notes: Mapped[list[str]] = mapped_column(default=list)
    """Sentences about the parts of the label config that are not learned."""
    own_settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Name -> value of settings that people chose for this project, in place of the backend's."""
    paused: Mapped[bool] = mapped_column(default=False)
    """Whether people paused it: nothing is synced, learned or published."""

    # Wake-ups in unix seconds: written by the web process, read by the worker.
    wake_at: Mapped[float] = mapped_column(default=0.0)
    train_requested_at: Mapped[float] = mapped_column(default=0.0)
    retried_at: Mapped[float] = mapped_column(default=0.0)
    """When excluded images were last tried again."""
    looked_at: Mapped[float] = mapped_column(default=0.0)
    """The wake-up that the worker's last sync answered."""

    # The last sync
    cursor: Mapped[str] = mapped_column(default="")
    """Where the next sync begins, as the platform says it; "" before the first one."""
    labels_revision: Mapped[int] = mapped_column(default=0)
    """Grows with every change of a label or of the pool."""

    # The pool
    image_size: Mapped[int] = mapped_column(default=0)
    dense: Mapped[bool] = mapped_column(default=False)
    """Whether the images are prepared for segmentation."""
    next_row: Mapped[int] = mapped_column(default=0)
    """The first unused row of the pixel store."""
    cycles: Mapped[int] = mapped_column(default=0)
    query_size: Mapped[int] = mapped_column(default=0)
    order: Mapped[str] = mapped_column(default="")

    # The encoder
    encoder: Mapped[str] = mapped_column(default="")
    """Name of the pretrained encoder in use; "": the newest of the project's own networks."""
    input_size: Mapped[int] = mapped_column(default=0)
    """Side in pixels at which it sees the images."""
    encoder_note: Mapped[str] = mapped_column(default="")
    """Why it is not the one that the settings name; "" if it is, or if nothing keeps it from becoming so."""

    # Fine-tuning of the encoder
    tuned_generation: Mapped[int] = mapped_column(default=0)
    """The fine-tuned encoder in use; 0: the encoder is used as it is."""
    tuned_trials: Mapped[int] = mapped_column(default=0)
    """How often it was tried."""
    tuned_labels: Mapped[int] = mapped_column(default=0)
    """How many labels there were at the last trial; 0: none was made with this encoder."""
    tuned_accuracy: Mapped[float | None]
    """What was measured then in a cross-validation of the fine-tuned encoder …"""
    probe_accuracy: Mapped[float | None]
    """… and of the encoder as it is."""

    # The project's own networks. Generation 0: none yet.
    pretext_generation: Mapped[int] = mapped_column(default=0)
    pretext_pool: Mapped[int] = mapped_column(default=0)
    """How many of the images that it was trained on still exist, at most."""
    main_generation: Mapped[int] = mapped_column(default=0)
    main_labels: Mapped[int] = mapped_column(default=0)
    """How many labels it was trained on."""
    main_round: Mapped[int] = mapped_column(default=-1)
    """The round whose labels it has seen."""
    main_requested_at: Mapped[float] = mapped_column(default=0.0)
    """The `train_requested_at` that its training answered."""

    # The queue
    ranked_revision: Mapped[int] = mapped_column(default=-1)
    """The `labels_revision` that the ranking was made from."""
    ranked_pool: Mapped[int] = mapped_column(default=0)
    """How many images are ranked; 0: none of the images as they are stored now."""
    model_version: Mapped[str] = mapped_column(default="")
    """The version that is published now."""
    published: Mapped[list[int]] = mapped_column(JSON, default=list)
    """Its tasks in the order in which they are served."""
    retired: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """Earlier versions that must not be deleted yet."""

    # Shown by /api/status
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
    __table_args__ = (
        Index("task_counts", "project_id", "state", "labelled", "annotations", "cancelled"),  # all that counting reads
        Index("task_noted", "project_id", "id", sqlite_where=text(NOTED), postgresql_where=text(NOTED)),
    )

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """The task's id in Label Studio."""
    image: Mapped[str]
    version: Mapped[str]
    answers: Mapped[dict[str, Any] | None]
    """The label of each question, for regions their digest; None: not labelled."""
    labelled: Mapped[bool] = mapped_column(default=False)
    """Whether there are answers, so that they need not be read to be counted."""
    regions: Mapped[list[dict[str, Any]] | None] = mapped_column(deferred=True)
    notes: Mapped[list[str]] = mapped_column(default=list)
    """Sentences about the parts of its annotations that could not be used."""
    skipped: Mapped[bool] = mapped_column(default=False)
    annotations: Mapped[int] = mapped_column(default=0)
    cancelled: Mapped[int] = mapped_column(default=0)
    judgements: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """The fields of each `Judgement`: who answered what, and how long it took."""
    held_out: Mapped[bool] = mapped_column(default=False)
    """Whether it measures the model: chosen at random, and never trained on."""

    state: Mapped[str] = mapped_column(default=NEW)
    reason: Mapped[str] = mapped_column(default="")
    """Why the image is unreadable. If it is readable, what is odd about its file, and on further lines which of its
    regions could not be drawn."""
    row: Mapped[int | None]
    """Its row in the pixel store."""
    width: Mapped[int] = mapped_column(default=0)
    """Width of the upright image in pixels; 0: not known."""
    height: Mapped[int] = mapped_column(default=0)
    """Height of the upright image in pixels; 0: not known."""
    pretext_loss: Mapped[float | None]
    batch: Mapped[int | None]


class Announced(Base):
    """What the platform says about a project before all its tasks are synced."""

    __tablename__ = "announced"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    tasks: Mapped[int]


class Ranking(Base):
    """The newest scores and predictions of the whole pool, as arrays: what `/predict` answers from."""

    __tablename__ = "ranking"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    stamp: Mapped[float]
    """When it was made, in unix seconds; changes with every ranking."""
    questions: Mapped[list[dict[str, Any]]]
    arrays: Mapped[bytes] = mapped_column(LargeBinary)
    reasons: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    """Why each image of the window is in its place: the fields of each `Reason`, in serving order."""


class Finding(Base):
    """What the worker found out about a project, besides the ranking: the newest of each kind."""

    __tablename__ = "finding"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    stamp: Mapped[float]
    """When, in unix seconds; changes with every finding."""
    revision: Mapped[int]
    """The `labels_revision` that it was made from."""
    body: Mapped[dict[str, Any]]
    arrays: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    """safetensors; empty if there are none."""


class Measurement(Base):
    """How good the model was with so many labels: a point of the learning curve."""

    __tablename__ = "measurement"
    __table_args__ = (Index("measurement_of_project", "project_id", "labels"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"))
    at: Mapped[float]
    """In unix seconds."""
    model_version: Mapped[str]
    """The version that was published then."""
    round: Mapped[int]
    labels: Mapped[int]
    """How many images were labelled."""
    held_out: Mapped[bool]
    """Whether it was measured on held-out images; otherwise by cross-validation on the labels."""
    images: Mapped[int]
    """On so many images."""
    value: Mapped[float]
    """Accuracy, or the metric of the first question's label type, 0 to 1 …"""
    low: Mapped[float]
    high: Mapped[float]
    """… and its 95 % interval."""
    confidence: Mapped[float | None]
    """How sure the model was on average of the images without a label, 0 to 1; None: not known."""


class Guess(Base):
    """What the model last suggested for a task that was in a window, to compare with what people then submit."""

    __tablename__ = "guess"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    answers: Mapped[dict[str, Any]]
    """Name of a question -> the suggested answer."""


class Confirmed(Base):
    """A label that looked wrong and that people called right."""

    __tablename__ = "confirmed"

    project_id: Mapped[int] = mapped_column(ForeignKey("project.id", ondelete="CASCADE"), primary_key=True)
    task_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    question: Mapped[str] = mapped_column(primary_key=True)
    answer: Mapped[str]
    """The answer as JSON: a label that is changed later is looked at again."""


class Worker(Base):
    """The worker and what it is doing. `id` is always 1."""

    __tablename__ = "worker"

    id: Mapped[int] = mapped_column(primary_key=True)
    heartbeat_at: Mapped[float]
    device: Mapped[str]
    busy_with: Mapped[str] = mapped_column(default="")


class Vitals(Base):
    """More about the worker. `id` is always 1."""

    __tablename__ = "vitals"

    id: Mapped[int] = mapped_column(primary_key=True)
    starting_at: Mapped[float] = mapped_column(default=0.0)
    """When a worker last reported that it is being started, in unix seconds."""
    cpu_got: Mapped[float | None]
    """Processors that it used over the last seconds; None: not known."""
    cpu_wanted: Mapped[float | None]
    """Processors that it would have used; None: not known."""
    memory: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes that it has in memory; None: not known."""
    trouble: Mapped[str] = mapped_column(default="")
    """Why it waits: the disk or the database cannot be used. "" if they can."""
