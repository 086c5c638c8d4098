"""`<BrushLabels>` and `<PolygonLabels>`: all of them in a label config ask one question, what each pixel shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pt4al_backend.label_studio.label_config.control import Annotation, Asked, Control, Result
from pt4al_backend.label_studio.label_config.region_results import regions_result
from pt4al_backend.label_studio.label_config.regions import (
    Region,
    RegionControl,
    is_known,
    read_regions,
    regions_question,
)
from pt4al_backend.label_studio.label_config.tags import Tag
from pt4al_backend.labelling.questions import Prediction, Question


@dataclass(frozen=True)
class Regions(Control):
    """Tags to paint or to outline regions with."""

    question: Question
    tags: tuple[RegionControl, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(tag.name for tag in self.tags)

    @classmethod
    def of(cls, tag: Tag) -> Regions:
        return cls.asked_with([RegionControl.of(tag)])

    @classmethod
    def joined(cls, controls: Sequence[Control]) -> list[Control]:
        """One, where there is any."""
        tags = [tag for control in controls if isinstance(control, Regions) for tag in control.tags]
        return [cls.asked_with(tags)] if tags else []

    @classmethod
    def asked_with(cls, tags: Sequence[RegionControl]) -> Regions:
        """The one control of these tags. Raises `UnsupportedConfigError`."""
        return cls(regions_question(tags), tuple(tags))

    def read(self, results: Sequence[Result], asked: Asked, faults: list[str]) -> list[Region] | None:
        """The regions of one annotation."""
        regions, unusable = read_regions(results, self.tags, self.question.classes, asked.controls)
        faults += unusable
        if any(map(is_known, regions)) or (not unusable and asked.may_be_empty(results, faults)):
            return regions
        return None

    def answer(self, annotations: Sequence[Annotation], read: Callable[[Annotation], Any]) -> Any:
        """The newest that answers."""
        return next((regions for regions in map(read, reversed(annotations)) if regions is not None), None)

    def result(
        self, prediction: Prediction, *, image: str, width: int, height: int, least_region: float
    ) -> list[Result]:
        """Of a mask; needs the size of the image."""
        if not isinstance(prediction.value, np.ndarray):
            return []  # from when the question asked for something else
        return regions_result(
            prediction.value,
            self.tags,
            self.question.classes,
            image=image,
            width=width,
            height=height,
            least_region=least_region,
            score=prediction.probability,
        )
