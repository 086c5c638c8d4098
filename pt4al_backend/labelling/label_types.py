"""The table of label types. A new one is another file here, and a line in the table."""

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
"""Stored name -> label type."""


def questions_of(fields: Iterable[dict[str, Any]]) -> tuple[Question, ...]:
    """Questions from their stored fields (`Question.as_json`)."""
    return tuple(Question(entry["name"], LABEL_TYPES[entry["kind"]], tuple(entry["classes"])) for entry in fields)
