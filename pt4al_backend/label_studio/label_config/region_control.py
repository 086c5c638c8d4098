"""`<BrushLabels>` and `<PolygonLabels>`: all of them together ask one question, the class of each pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pt4al_backend.label_studio.label_config.control import Annotation, Context, Control, Result
from pt4al_backend.label_studio.label_config.region_results import regions_result, written_region
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
    """The tags with which people paint or outline regions."""

    question: Question
    tags: tuple[RegionControl, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(tag.name for tag in self.tags)

    @classmethod
    def of(cls, tag: Tag) -> Regions:
        return cls.with_tags([RegionControl.of(tag)])

    @classmethod
    def joined(cls, controls: Sequence[Control]) -> list[Control]:
        """All of them joined to one control, if there are any."""
        tags = [tag for control in controls if isinstance(control, Regions) for tag in control.tags]
        return [cls.with_tags(tags)] if tags else []

    @classmethod
    def with_tags(cls, tags: Sequence[RegionControl]) -> Regions:
        """The control that these tags form. Raises `UnsupportedConfigError` if they have too many classes."""
        return cls(regions_question(tags), tuple(tags))

    def read(self, results: Sequence[Result], context: Context, faults: list[str]) -> list[Region] | None:
        """The regions of one annotation."""
        regions, unusable = read_regions(results, self.tags, self.question.classes, context.control_names)
        faults += unusable
        if any(map(is_known, regions)) or (not unusable and context.may_be_empty(results, faults)):
            return regions
        return None

    def answer(self, annotations: Sequence[Annotation], read: Callable[[Annotation], Any]) -> Any:
        """The regions of the newest annotation that answers."""
        return next((regions for regions in map(read, reversed(annotations)) if regions is not None), None)

    def result(
        self, prediction: Prediction, *, image: str, width: int, height: int, least_region: float
    ) -> list[Result]:
        """The regions of a predicted mask; needs the image's size."""
        if not isinstance(prediction.value, np.ndarray):
            return []  # a prediction from when the question was of another label type
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

    def written(self, answer: Any, *, image: str, width: int, height: int) -> list[Result]:
        """Each region as a result of a tag of its kind."""
        written = (written_region(region, self.tags, image=image, width=width, height=height) for region in answer)
        return [result for result in written if result is not None]
