"""The controls that ask questions in Label Studio: they read annotations and write predictions.

A new control needs a file next to this one, and a line for its tag in `config.CONTROLS`. A control whose answers are
classes of the image needs no class of its own, see `class_control`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pt4al_backend.label_studio.label_config.tags import Tag
from pt4al_backend.labelling.questions import Prediction, Question

Result = dict[str, Any]
"""One entry of the `result` of an annotation or a prediction."""


@dataclass(frozen=True)
class Annotation:
    """The parts of an annotation that controls read."""

    results: Sequence[Result]
    is_truth: bool
    """Whether it is marked as Label Studio's ground truth."""
    annotator: int = 0
    """The id of the person who made it; 0 if that is not known."""
    seconds: float | None = None
    """How long it took; None if that is not known."""


@dataclass(frozen=True)
class Context:
    """The rest of the label config, for reading an annotation."""

    control_names: Collection[str]
    """Names of all controls, also of those that PT4AL does not learn from."""
    alone: bool
    """Whether PT4AL learns from no other control."""
    may_be_empty: Callable[[Sequence[Result], list[str]], bool]
    """Whether an annotation with these results that leaves the question empty answers it with nothing. If not, a
    sentence that says why is added to the list."""


class ControlKind(Protocol):
    """An entry of `config.CONTROLS`: makes the control of a tag."""

    def of(self, tag: Tag, /) -> Control:
        """The control that a tag is. Raises `UnsupportedConfigError` if PT4AL cannot learn from it."""


class Control(ABC):
    """One tag of a label config, or several tags that together ask one question."""

    question: Question

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its tags, by which results refer to it."""
        return (self.question.name,)

    @classmethod
    def joined(cls, controls: Sequence[Control]) -> list[Control]:
        """Controls of this class, with those that together ask one question joined. Raises `UnsupportedConfigError`."""
        return list(controls)

    @abstractmethod
    def read(self, results: Sequence[Result], context: Context, faults: list[str]) -> Any:
        """The answer in one annotation, None if there is none. Adds a sentence to `faults` for everything unusable."""

    @abstractmethod
    def answer(self, annotations: Sequence[Annotation], read: Callable[[Annotation], Any]) -> Any:
        """A task's answer, from all annotations that count, oldest first; `read` reads one. None if there is none."""

    @abstractmethod
    def result(
        self, prediction: Prediction, *, image: str, width: int, height: int, least_region: float
    ) -> list[Result]:
        """A prediction as results; see `LabelConfig.result`."""

    @abstractmethod
    def written(self, answer: Any, *, image: str, width: int, height: int) -> list[Result]:
        """An answer as results that `read` reads; see `LabelConfig.results_of`."""
