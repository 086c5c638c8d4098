"""What people are asked about an image, what they answer, and what the model predicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

SINGLE, MULTIPLE, SEGMENTATION = "single", "multiple", "segmentation"
Answers = dict[str, Any]
"""Name of a question -> its answer, as JSON; what was not answered is absent.

`single`: a class. `multiple`: a list of classes, in the config's order. `segmentation`: a list of regions,
a later one on top of those before it, each `{"label", "width", "height"}` (of the image, in pixels; a polygon may
have none) with `"rle"` (Label Studio's brush format in base64) or `"points"` (corners of a polygon, in per cent of
width and height). The `"label"` of a region that was left out is None: its pixels teach nothing. Where it has neither
`"rle"` nor `"points"` nothing is known of those outside the other regions.
"""


@dataclass(frozen=True)
class Question:
    """One thing that people answer about every image, and the main task learns."""

    name: str
    kind: str
    """`single`: one class; `multiple`: any number of classes; `segmentation`: a class for every pixel."""
    classes: tuple[str, ...]
    """In the label config's order."""


def questions_of(fields: Iterable[dict[str, Any]]) -> tuple[Question, ...]:
    """Questions from their fields, as they are stored."""
    return tuple(Question(entry["name"], entry["kind"], tuple(entry["classes"])) for entry in fields)


@dataclass(frozen=True)
class Prediction:
    """What the model thinks the answer to a question is."""

    value: Any
    """A class; a tuple of classes; a mask uint8 (m, m) of class numbers, `len(classes)` where no region is."""
    probability: float
    """Of the value; of a mask the mean over its pixels."""
