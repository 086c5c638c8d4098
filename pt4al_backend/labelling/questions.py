"""Questions about an image, people's answers, and the model's predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pt4al_backend.labelling.label_type import LabelType

Answers = dict[str, Any]
"""Name of a question -> its answer as JSON; unanswered questions are absent. Each label type defines its format."""


@dataclass(frozen=True)
class Question:
    """A question that people answer about every image; the main task learns the answers."""

    name: str
    label_type: LabelType
    classes: tuple[str, ...]
    """In the label config's order."""

    def as_json(self) -> dict[str, Any]:
        """The stored form, which `label_types.questions_of` reads."""
        return {"name": self.name, "kind": self.label_type.name, "classes": list(self.classes)}


@dataclass(frozen=True)
class Judgement:
    """What one annotation says of an image."""

    annotator: int
    """The annotator's id on the platform; 0 if it is not known."""
    seconds: float | None
    """How long it took; None if that is not known."""
    answers: Answers
    """Without those that are regions."""


@dataclass(frozen=True)
class Prediction:
    """The model's prediction of the answer to a question."""

    value: Any
    """A class; a tuple of classes; or a mask uint8 (m, m) of class numbers, `len(classes)` outside all regions."""
    probability: float
    """The probability of the value; for a mask the mean over its pixels."""
