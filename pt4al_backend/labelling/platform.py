"""The protocol of a labelling platform: Label Studio, or known labels in a simulation."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.questions import Answers, Judgement, Prediction, Question


@dataclass(frozen=True)
class Drawing:
    """A segmentation drawn as a mask."""

    mask: NDArray[np.uint8]
    """(side, side) class numbers, `len(question.classes)` outside all regions, 255 if unknown."""
    notes: tuple[str, ...] = ()
    """A sentence for each part that could not be drawn."""


@dataclass(frozen=True)
class ProjectInfo:
    """The current state of a project on the platform."""

    title: str
    label_config: str
    questions: tuple[Question, ...]
    """At least one."""
    tasks: int
    """Number of tasks."""
    annotations: int
    """Number of submitted annotations, without skipped ones."""
    skipped: int
    """Number of skipped annotations."""
    model_version: str
    """The prediction version that orders the queue."""
    notes: tuple[str, ...] = ()
    """A sentence for each part of the label config that is not learned."""
    overlap: int = 1
    """Number of annotations, each by a different person, that a task needs."""


@dataclass(frozen=True)
class TaskState:
    """The current state of a task on the platform."""

    id: int
    image: str
    """The image's value: a path or URL."""
    version: str
    """Changes whenever the task or its annotations change."""
    answers: Answers
    """Empty if the task is not labelled, or only with classes that no longer exist."""
    skipped: bool
    """Annotated without an answer: skipped, left empty, or with classes that no longer exist."""
    annotations: int
    """Number of submitted annotations."""
    cancelled: int
    """Number of skipped annotations."""
    notes: tuple[str, ...] = ()
    """A sentence for each part of its annotations that could not be used."""
    judgements: tuple[Judgement, ...] = ()
    """One for each annotation that counts, oldest first."""


@dataclass(frozen=True)
class Pick:
    """One image of the window."""

    task: int
    """Its id."""
    score: float
    """Orders the queue; the lowest is served first."""
    predictions: dict[str, Prediction] = field(default_factory=dict)
    """Name of a question -> its prediction."""
    width: int = 0
    """Width of the upright image in pixels; 0 if unknown, in which case masks are not published."""
    height: int = 0
    """Height, likewise."""


@dataclass(frozen=True)
class Window:
    """The images to publish: the query plus a small buffer, in serving order."""

    version: str
    """The prediction version."""
    picks: tuple[Pick, ...]
    """The images in serving order."""
    opened: tuple[Pick, ...] = ()
    """Images of earlier windows that somebody may still have open; they rank behind all others."""


class LabellingPlatform(Protocol):
    """One project on a labelling platform.

    Every method may raise `LabelStudioUnavailableError` (try again later),
    `ProjectGoneError` or another `PT4ALError` whose text tells a person what to do.
    """

    def is_connected(self) -> bool:
        """Whether people want the backend to serve the project; otherwise it must not touch it. Asked at every sync."""
        ...

    def project(self) -> ProjectInfo:
        """The current state of the project.

        Raises:
            UnsupportedConfigError: its label config cannot be learned.
        """
        ...

    def tasks(self, since: str | None) -> Iterator[tuple[list[TaskState], str]]:
        """Pages of tasks that changed after the cursor `since` (None: all tasks), each with the next cursor."""
        ...

    def missing(self, known: Sequence[int]) -> set[int]:
        """Those of the sorted task ids `known` that no longer exist."""
        ...

    def images_behind(self, task: int) -> dict[int, str]:
        """Task id -> image value of the next few tasks by id; empty if `task` is the last."""
        ...

    def images_of(self, tasks: Sequence[int]) -> dict[int, str]:
        """Task id -> image value of those `tasks` that exist."""
        ...

    def image(self, task: int, value: str) -> bytes:
        """The bytes of a task's image. Thread-safe.

        Raises:
            UnreadableImageError: there are none; the message gives the reason.
        """
        ...

    def image_name(self, task: int, value: str) -> str:
        """The name of a task's image for people, without secrets; "" if it has none. Thread-safe."""
        ...

    def drawing(
        self, question: Question, regions: Sequence[dict[str, Any]], *, side: int, size: tuple[int, int]
    ) -> Drawing:
        """Draw regions at `side` x `side` pixels; `size` is the width and height of the image, 0 if unknown."""
        ...

    def publish(self, window: Window) -> None:
        """Make `window` the queue. Earlier queues stay valid until `sweep` deletes them."""
        ...

    def sweep(self, keep: Collection[str]) -> bool:
        """Delete our queues whose versions are not in `keep`, for about two seconds. True once all are deleted."""
        ...

    def close(self) -> None:
        """Close all connections; pending requests for images fail with an error."""
        ...
