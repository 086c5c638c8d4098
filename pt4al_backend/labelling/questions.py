"""What people are asked about an image, what they answer, and what the model predicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pt4al_backend.labelling.label_type import LabelType

Answers = dict[str, Any]
"""Name of a question -> its answer, as JSON; what was not answered is absent. Each label type says what its are."""


@dataclass(frozen=True)
class Question:
    """One thing that people answer about every image, and the main task learns."""

    name: str
    label_type: LabelType
    classes: tuple[str, ...]
    """In the label config's order."""

    def as_json(self) -> dict[str, Any]:
        """As it is stored: `label_types.questions_of` reads it."""
        return {"name": self.name, "kind": self.label_type.name, "classes": list(self.classes)}


@dataclass(frozen=True)
class Prediction:
    """What the model thinks the answer to a question is."""

    value: Any
    """A class; a tuple of classes; a mask uint8 (m, m) of class numbers, `len(classes)` where no region is."""
    probability: float
    """Of the value; of a mask the mean over its pixels."""
