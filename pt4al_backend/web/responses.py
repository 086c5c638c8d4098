"""What the routes of the SDK and our actions answer, as types; the rest is in `reports/answers.py`."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import NotRequired, TypedDict

from pt4al_backend.reports.answers import Count, described


@described
class Refusal(TypedDict):
    """Why a request is refused."""

    error: str
    """What is wrong, and what to do."""


@described
class Done(TypedDict):
    """What came of an action."""

    done: str
    """In a sentence."""


@described
class Health(TypedDict):
    """That the web process runs. Which other fields there are depends on the generation of label-studio-ml."""

    status: Annotated[str, Field(json_schema_extra={"const": "UP"})]
    model_class: NotRequired[str]
    model_dir: NotRequired[str | None]
    v2: NotRequired[bool | str]


@described
class Connected(TypedDict):
    """The project is connected."""

    model_version: str
    """The published version, or `pt4al-preparing`."""
    notes: NotRequired[list[str]]
    """What of the label config is ignored."""


@described
class Region(TypedDict):
    """A part of a pre-annotation, as Label Studio defines it."""

    from_name: str
    to_name: str
    type: str
    value: dict[str, Any]
    score: NotRequired[float]


@described
class Prediction(TypedDict):
    """For one task."""

    result: list[Region]
    """The pre-annotation; empty without one."""
    score: float
    """The place in the queue: the lowest is labelled first."""
    model_version: str


@described
class Predictions(TypedDict):
    """One for each task, in their order."""

    results: list[Prediction]
    model_version: NotRequired[str]
    """With label-studio-ml 1.0.9."""


@described
class Woken(TypedDict):
    """The worker looks at the project."""

    event: str
    project: Count
    """Its number in Label Studio."""
    woken: Count
    """How many projects may be meant: several if several Label Studios use the same number."""


@described
class Ignored(TypedDict):
    """Nothing comes of the event."""

    event: str
    ignored: str
    """Why."""


@described
class Taken(TypedDict):
    """What came of an event."""

    status: str
    """`ok`, or `Unknown event` for an event that changes no queue."""
    result: NotRequired[Woken | Ignored]


@described
class PublishedVersions(TypedDict):
    """The published version of each project that was asked for."""

    versions: list[str]


@described
class Training(TypedDict):
    """Whether Label Studio has to wait for a training."""

    is_training: bool
    """Always false."""
