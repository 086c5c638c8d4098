"""What `/api/status` and `/api/projects/…` answer, as types: mypy holds the code to them, and `docs/openapi.json` is
generated from them (`web/openapi.py`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

from pydantic import ConfigDict, Field, with_config
from typing_extensions import NotRequired, TypedDict

from pt4al_backend.reports.stages import STAGES
from pt4al_backend.store.latencies import OrderLatency

T = TypeVar("T", bound=type)
described: Callable[[T], T] = with_config(ConfigDict(use_attribute_docstrings=True))
"""Marks a type whose fields are described by the strings below them."""

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
TaskId = Annotated[int, Field(ge=0, le=2**63 - 1)]
Index = Annotated[int, Field(ge=-1)]
"""-1: none."""
Coordinate = Annotated[int, Field(ge=0, le=65535)]
Thousandth = Annotated[int, Field(ge=-1, le=1000)]
"""-1: not known."""
Stage = Annotated[str, Field(json_schema_extra={"enum": list(STAGES)})]


@described
class ProjectStatus(TypedDict):
    """What a project is doing, its counts, and what is published."""

    label_studio_url: str
    """Address of its Label Studio."""
    id: Annotated[int, Field(ge=1)]
    """The number in the addresses of its pages and of this API."""
    project: Count
    """Its number in Label Studio."""
    title: str
    task_type: str
    """Titles of the questions' label types, joined by ` + `."""
    stage: Stage
    stage_progress: Share
    stage_detail: str
    """What it does in this stage, and why it is slow."""
    eta_seconds: Seconds | None
    """Seconds that the stage still takes; null if that is not known."""
    round: Count
    """The round that is being labelled, from 0."""
    cycles: Annotated[int, Field(ge=1)]
    """Number of batches that the pool is cut into."""
    query_size: Count
    """Images to label per round; 0 before that is decided."""
    tasks: Count
    pool: Count
    """Usable images."""
    unreadable: Count
    """Images excluded because they could not be read."""
    labelled: Count
    model_version: str
    """The version that is published; empty before the first one."""
    ranked: Count
    """Images that the published order was chosen from."""
    encoder: str
    strategy: str
    fine_tuned: bool
    """Whether the encoder in use was fine-tuned on the labels."""
    fine_tuned_accuracy: Share | None
    """Of the fine-tuned encoder, in a cross-validation."""
    probe_accuracy: Share | None
    """Of the encoder as it is, in the same cross-validation."""
    pretext_learned: bool
    queue_length: Count
    """Published tasks that wait for a label."""
    error: str
    """What is wrong and what to do; empty if nothing is."""
    paused: bool
    estimate: Share | None
    """How good the model is: accuracy, or the metric of the first question's label type. Before it is measured on
    held-out images, it is how sure the model is of the images without a label, or, where that is not known, what a
    cross-validation says."""
    labels_to_check: Count | None
    """Labels that look wrong; null until they were checked."""
    order_latency: OrderLatency | None
    notes: list[str]
    """What cannot be used of the label config and the annotations."""
    updated_at: Annotated[str, Field(json_schema_extra={"format": "date-time"})] | None
    """When the worker last wrote about it; null for never."""


@described
class WorkerStatus(TypedDict):
    """The process that learns and chooses."""

    alive: bool
    starting: bool
    device: str
    busy_with: str
    cpu_share: Seconds | None
    """Processors that it gets: 0.12 is 12 % of one; null if that is not known."""
    memory_bytes: Count | None
    """Null if that is not known."""
    starved: str
    """How much it gets, in words, if that is too little; otherwise empty."""


@described
class DiskStatus(TypedDict):
    """Where everything is kept."""

    error: str
    """Why disk or database cannot be used, so that all work waits; empty if they can."""


@described
class Status(TypedDict):
    """All projects, the worker and the disk."""

    projects: list[ProjectStatus]
    worker: WorkerStatus
    disk: DiskStatus


@described
class QualityColumn(TypedDict):
    """A column of the table of classes."""

    key: str
    """Its name in `classes`."""
    title: str
    how: str
    """How it is measured."""


@described
class ClassQuality(TypedDict):
    """How well a class is found."""

    name: str
    labels: Count
    precision: str
    """In per cent; `-` if it does not exist."""
    recall: str


@described
class ClassIoU(TypedDict):
    """How well a class is segmented."""

    name: str
    area: str
    """The share of all labelled pixels, in per cent."""
    iou: str
    """Intersection over union in per cent; `-` without labelled pixels."""


@described
class QualityFigures(TypedDict):
    """What is shown of each class."""

    how: str
    """How the estimate is measured."""
    columns: list[QualityColumn]
    classes: list[ClassQuality] | list[ClassIoU]
    confusion: list[list[Count]] | None
    """Number of images, or pixels in per cent of the row, by label (row) and prediction (column), in the order of
    `classes`; null for a multiple choice, and for many classes."""
    calibration: str
    """Empty for a segmentation."""
    more: str


@described
class Quality(QualityFigures):
    """How good the answers to a question are, on labels that the model did not see."""

    name: str
    """The question."""
    opens: bool
    """Whether the page lists the images of a number in `confusion`."""
    words: str
    """The estimate with its 95 % interval, in per cent."""
    sentence: str
    """On which images it is measured."""
    matrix_caption: str
    """What `confusion` shows."""


@described
class CurvePoint(TypedDict):
    """A point of the learning curve."""

    labels: Count
    value: Share
    low: Share
    high: Share
    """`low` to `high` is the 95 % interval."""
    held_out: bool
    """Whether it was measured on held-out images, or by cross-validation."""
    round: Count
    words: str


@described
class QuestionAgreement(TypedDict):
    """How often people submitted what was suggested."""

    question: str
    same: Count
    of: Count


@described
class ExcludedImage(TypedDict):
    """An image that could not be read."""

    task: TaskId
    reason: str


@described
class Overview(ProjectStatus):
    """The project's status, how good the model is, and how much more there is to label."""

    stage_words: str
    remaining: str
    """`eta_seconds` in words."""
    order_from: str
    model_words: str
    pretext_words: str
    quality: list[Quality]
    """Of each question; empty until it was measured."""
    forecast: list[str]
    """Sentences; empty until there is a forecast."""
    curve: list[CurvePoint]
    """The oldest first."""
    agreement: list[QuestionAgreement]
    excluded: list[ExcludedImage]
    """The first of the images that could not be read."""


@described
class QueuedImage(TypedDict):
    """An image that will be asked for."""

    task: TaskId
    held_out: bool
    """Whether it measures the model, which never learns from it."""
    why: list[str]
    """Phrases, the most telling first."""


@described
class Queue(TypedDict):
    """The next images, in the order in which annotators get them."""

    images: list[QueuedImage]
    waiting: Count
    """How many wait, of which the first are listed."""
    model_version: str


@described
class DuplicateGroup(TypedDict):
    """Images that are near-duplicates of one of them."""

    size: Count
    tasks: list[TaskId]
    """The first of them."""
    labelled: Count
    """How many of all of them are labelled."""


@described
class Duplicates(TypedDict):
    """Near-duplicates in a pool."""

    groups: Count
    images: Count
    """In all groups."""
    collapsed: bool
    """Whether one of a group is asked for (`collapse_duplicates`)."""
    waiting: Count
    """Images that wait, because another one of their group is labelled or comes first."""
    largest: list[DuplicateGroup]
    """The largest groups."""


@described
class LabelToCheck(TypedDict):
    """A label that the model contradicts."""

    task: TaskId
    question: str
    answer: str
    """The label as JSON: what `confirm` takes."""
    instead: str
    """The class that the model says, or disputes."""
    probability: NotRequired[Share]
    """Of `instead`; of a mask it is missing."""
    drawn: NotRequired[str]
    """Of a mask: the class that is contradicted most …"""
    share: NotRequired[Share]
    """… and the part of the labelled area where the model contradicts the mask."""
    quality: float
    """Low: the label is probably wrong."""
    said: str
    says: str


@described
class AnnotatorRow(TypedDict):
    """Somebody's labels, in words."""

    name: str
    labels: Count
    seconds: str
    """Median time per label."""
    model: str
    """How often the model agrees, with the 95 % interval."""
    others: str
    """How often other annotators agree."""


@described
class Cell(TypedDict):
    """Images that people labelled `label` and the model takes for `model`."""

    label: str
    model: str
    tasks: list[TaskId]
    of: Count
    """How many there are, of which the first are listed."""


@described
class LabelsToCheck(TypedDict):
    """Labels that look wrong, and who labelled."""

    labels: list[LabelToCheck]
    """The worst first."""
    of: Count
    """How many there are, of which the first are listed."""
    confirmed: Count
    """How many people called right."""
    checked: Count
    """How many labels were checked."""
    annotators: list[AnnotatorRow]
    together: str
    """How often annotators of the same task agree; empty if that is not known."""
    cell: Cell | None
    """The images of the cell that was asked for."""


@described
class MapRanges(TypedDict):
    """What the smallest and the largest number in a column stand for."""

    uncertainty: tuple[float, float]
    pretext_loss: tuple[float, float]


MapOfPool = TypedDict(  # "class" is no name for a field
    "MapOfPool",
    {
        "task": list[TaskId],
        "x": list[Coordinate],
        "y": list[Coordinate],
        "class": Annotated[list[Index], Field(description="Label, or else predicted class: an index of `classes`.")],
        "batch": list[Index],
        "uncertainty": Annotated[list[Thousandth], Field(description="Scaled to 0 to 1000; see `ranges`.")],
        "pretext_loss": Annotated[list[Thousandth], Field(description="Scaled to 0 to 1000; see `ranges`.")],
        "labelled": Annotated[list[Annotated[int, Field(ge=0, le=1)]], Field(description="1: it has a label.")],
        "queue": Annotated[list[Count], Field(description="Positions in the columns, in serving order.")],
        "classes": list[str],
        "batches": Count,
        "ranges": MapRanges,
        "link": Annotated[str, Field(description="Address of a task in Label Studio, with `{task}` for its number.")],
        "thumbnail": Annotated[str, Field(description="Address of a thumbnail, with `{task}` for its number.")],
    },
)
"""The map as columns with a number for each image; -1 where nothing is known."""
