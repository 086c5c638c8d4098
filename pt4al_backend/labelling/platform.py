"""What the loop needs of a labelling platform. Label Studio is one; a table of known labels is another."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.questions import Answers, Prediction, Question


@dataclass(frozen=True)
class Drawing:
    """A segmentation, drawn."""

    mask: NDArray[np.uint8]
    """(side, side) class numbers, `len(question.classes)` where no region is, 255 where that is not known."""
    notes: tuple[str, ...] = ()
    """One sentence for whatever of it could not be drawn."""


@dataclass(frozen=True)
class ProjectInfo:
    """A project as the platform shows it now."""

    title: str
    label_config: str
    questions: tuple[Question, ...]  # one at least
    tasks: int
    annotations: int  # submitted, not skipped
    skipped: int
    model_version: str  # the prediction version that orders the queue
    notes: tuple[str, ...] = ()  # one sentence for whatever of the label config is not learnt
    overlap: int = 1  # annotations, of as many people, that are wanted of each task


@dataclass(frozen=True)
class TaskState:
    """One task as the platform shows it now."""

    id: int
    image: str  # the image's value: a path or URL
    version: str  # changes whenever the task or its annotations change
    answers: Answers  # empty: not labelled, or with classes that are gone
    skipped: bool  # annotated without an answer: skipped, left empty, or with classes that are gone
    annotations: int
    cancelled: int
    notes: tuple[str, ...] = ()  # one sentence for whatever of its annotations could not be used


@dataclass(frozen=True)
class Pick:
    """One image of the window. `score` orders the queue, low first."""

    task: int
    score: float
    guesses: dict[str, Prediction] = field(default_factory=dict)  # by name of the question
    width: int = 0  # of the upright image, in pixels; 0: not known, then masks are not published
    height: int = 0


@dataclass(frozen=True)
class Window:
    """What is to be published: the query plus a little slack, in serving order."""

    version: str
    picks: tuple[Pick, ...]
    opened: tuple[Pick, ...] = ()
    """Behind all of them: images that are not in the window, and that somebody may have open since an earlier one."""


class LabellingPlatform(Protocol):
    """One project on a labelling platform.

    Every method may raise `LabelStudioUnavailableError` (try again later),
    `ProjectGoneError` or another `PT4ALError` whose text tells a person what to do.
    """

    def is_connected(self) -> bool:
        """Whether people want the project served: one that they do not is left alone. Asked before every look."""
        ...

    def project(self) -> ProjectInfo:
        """The project now. `UnsupportedConfigError` if its label config cannot be learnt."""
        ...

    def tasks(self, since: str | None) -> Iterator[tuple[list[TaskState], str]]:
        """Pages of tasks that changed after the cursor `since` (None: all), each with the cursor behind it."""
        ...

    def missing(self, known: Sequence[int]) -> set[int]:
        """Those of the sorted task ids `known` that do not exist any more."""
        ...

    def images_behind(self, task: int) -> dict[int, str]:
        """Task id -> image value of some tasks, the next ones by id; empty where there is none behind `task`."""
        ...

    def images_of(self, tasks: Sequence[int]) -> dict[int, str]:
        """Task id -> image value of those of `tasks` that exist."""
        ...

    def image(self, task: int, value: str) -> bytes:
        """The bytes of a task's image; `UnreadableImageError` with the reason if there are none. Thread-safe."""
        ...

    def image_name(self, task: int, value: str) -> str:
        """What people know a task's image by, without secrets; "" where it has no name. Thread-safe."""
        ...

    def drawing(
        self, question: Question, regions: Sequence[dict[str, Any]], *, side: int, size: tuple[int, int]
    ) -> Drawing:
        """Regions drawn at `side` x `side` pixels; `size`: width and height of the image, 0 where not known."""
        ...

    def publish(self, window: Window) -> None:
        """Make `window` the queue. Those before it stay valid until they are swept."""
        ...

    def sweep(self, keep: Collection[str]) -> bool:
        """Delete queues of ours whose versions are not in `keep`, for about two seconds. True if none is left."""
        ...

    def close(self) -> None:
        """Close all connections: nothing more is asked. Whoever still waits for an image gets an error."""
        ...
