"""The label types there are. A new one: a file beside this one, and a line here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pt4al_backend.labelling.label_type import LabelType
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE

LABEL_TYPES: dict[str, LabelType] = {
    "single": SINGLE,
    "multiple": MULTIPLE,
    "segmentation": SEGMENTATION,
}
"""By the name they are stored under."""


def questions_of(fields: Iterable[dict[str, Any]]) -> tuple[Question, ...]:
    """Questions from their fields, as they are stored."""
    return tuple(Question(entry["name"], LABEL_TYPES[entry["kind"]], tuple(entry["classes"])) for entry in fields)
