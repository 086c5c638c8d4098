"""What the loop needs of a labelling platform. Label Studio is one; a table of known labels is another.

(Not called ``platform.py``: ``label-studio-ml start`` runs ``python pt4al_backend/_wsgi.py``,
which puts this directory first on ``sys.path``, and the standard library has a ``platform``.)
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ProjectInfo:
    """A project as the platform shows it now."""

    title: str
    label_config: str
    classes: tuple[str, ...]  # the answers that can be given, in the config's order
    tasks: int
    annotations: int  # submitted, not skipped
    skipped: int
    model_version: str  # the prediction version that orders the queue
    sampling: str


@dataclass(frozen=True)
class TaskState:
    """One task as the platform shows it now."""

    id: int
    image: str  # the image's value: a path or URL
    version: str  # changes whenever the task or its annotations change
    label: str | None  # the class it was given; None: not labelled, or with a class that is gone
    skipped: bool  # answered without a label: skipped, left empty, or with a class that is gone
    annotations: int
    cancelled: int


@dataclass(frozen=True)
class Pick:
    """One image of the window. ``score`` orders the queue, low first."""

    task: int
    score: float
    label: str | None = None  # what the model thinks it is
    probability: float | None = None


@dataclass(frozen=True)
class Window:
    """What is to be published: the query plus a little slack, in serving order."""

    version: str
    picks: tuple[Pick, ...]


class LabellingPlatform(Protocol):
    """One project on a labelling platform.

    Every method may raise ``LabelStudioUnavailableError`` (try again later),
    ``ProjectGoneError`` or another ``PT4ALError`` whose text tells a person what to do.
    """

    def project(self) -> ProjectInfo:
        """The project now. ``UnsupportedConfigError`` if its label config cannot be learnt."""
        ...

    def tasks(self, since: str | None) -> Iterator[tuple[list[TaskState], str]]:
        """Pages of tasks that changed after the cursor ``since`` (None: all), each with the cursor behind it."""
        ...

    def missing(self, known: Sequence[int]) -> set[int]:
        """Those of the sorted task ids ``known`` that do not exist any more."""
        ...

    def image(self, task: int, value: str) -> bytes:
        """The bytes of a task's image; ``UnreadableImageError`` with the reason if there are none. Thread-safe."""
        ...

    def publish(self, window: Window, *, keep: Collection[str] = ()) -> None:
        """Make ``window`` the queue. The one before stays valid until the switch, versions in ``keep`` longer."""
        ...
