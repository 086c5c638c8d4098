"""What a question is asked with in Label Studio: read from annotations, written as predictions.

A new control: a file beside this one, and a line for its tag in `config.LEARNT`. One whose answers are classes of the
image needs no `Control` of its own, see `class_control`.
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
    """What is read of an annotation that counts."""

    results: Sequence[Result]
    is_truth: bool
    """Whether somebody said that it is the right one (Label Studio's ground truth)."""


@dataclass(frozen=True)
class Asked:
    """What else a project asks."""

    controls: Collection[str]
    """Names of all controls, learnt or not."""
    alone: bool
    """Whether no other question is learnt."""
    may_be_empty: Callable[[Sequence[Result], list[str]], bool]
    """Whether an annotation with these results that leaves the question empty answers it; why not goes to the list."""


class Learnable(Protocol):
    """What `config.LEARNT` has for a tag."""

    def of(self, tag: Tag, /) -> Control:
        """The control that a tag is. Raises `UnsupportedConfigError`."""


class Control(ABC):
    """One tag of a label config, or several that ask one question together."""

    question: Question

    @property
    def names(self) -> tuple[str, ...]:
        """Of its tags, as results have them."""
        return (self.question.name,)

    @classmethod
    def joined(cls, controls: Sequence[Control]) -> list[Control]:
        """Controls of this class, where several ask one question as one. Raises `UnsupportedConfigError`."""
        return list(controls)

    @abstractmethod
    def read(self, results: Sequence[Result], asked: Asked, faults: list[str]) -> Any:
        """What one annotation answers, None: nothing. A sentence for whatever cannot be used goes to `faults`."""

    @abstractmethod
    def answer(self, annotations: Sequence[Annotation], read: Callable[[Annotation], Any]) -> Any:
        """The answer of all annotations of a task, the oldest first, each of which is `read`. None: there is none."""

    @abstractmethod
    def result(
        self, prediction: Prediction, *, image: str, width: int, height: int, least_region: float
    ) -> list[Result]:
        """A prediction as results; see `LabelConfig.result`."""
