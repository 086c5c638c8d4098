"""The answers in the annotations of one task.

Annotations may be imported, and Label Studio does not validate them: they may contain any JSON (facts 36 and 41).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from pt4al_backend.label_studio.label_config.control import Annotation, Context, Control, Result
from pt4al_backend.label_studio.label_config.tags import shown_text
from pt4al_backend.labelling.questions import Answers, Judgement

logger = logging.getLogger(__name__)

LONGEST = 86400.0
"""Seconds above which the time that an annotation took is taken to be a mistake."""


def counted(annotations: Sequence[Any], faults: list[str]) -> list[Annotation]:
    """The annotations that count, oldest first, with those that are ground truth at the end."""
    objects = [annotation for annotation in annotations if isinstance(annotation, dict)]
    if len(objects) < len(annotations):
        faults.append("An annotation is left out: it is not an object.")
    valid = []
    for annotation in sorted(objects, key=_age):
        results = annotation.get("result")
        if annotation.get("was_cancelled") or results is None:
            continue
        if isinstance(results, list) and all(isinstance(result, dict) for result in results):
            valid.append(
                Annotation(
                    results, annotation.get("ground_truth") is True, _annotator(annotation), _seconds(annotation)
                )
            )
        else:
            faults.append("An annotation is left out: its result is not a list of objects.")
    return sorted(valid, key=lambda annotation: annotation.is_truth)


def _age(annotation: Mapping[str, Any]) -> tuple[str, int]:
    """A sort key, oldest first. Time stamps are ISO strings in UTC; ids order annotations of the same time."""
    stamp, number = annotation.get("updated_at") or annotation.get("created_at"), annotation.get("id")
    return stamp if isinstance(stamp, str) else "", number if isinstance(number, int) else 0


def _annotator(annotation: Mapping[str, Any]) -> int:
    """The id of the person; 0 if it is not known. Older versions send it alone, newer ones may send the user."""
    person = annotation.get("completed_by")
    number = person.get("id") if isinstance(person, Mapping) else person
    return number if isinstance(number, int) and not isinstance(number, bool) and number > 0 else 0


def _seconds(annotation: Mapping[str, Any]) -> float | None:
    """How long the annotation took, in seconds; None if it does not say so."""
    seconds = annotation.get("lead_time")
    if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds < LONGEST:
        return None
    return float(seconds)


@dataclass(frozen=True)
class AnnotationReader:
    """Reads the annotations of a project's tasks."""

    controls: tuple[Control, ...]
    """The controls that PT4AL learns from, one per question."""
    control_names: Collection[str]
    """Names of all controls, also of those that PT4AL does not learn from."""

    def answers(self, annotations: Sequence[Any], faults: list[str]) -> Answers:
        """See `LabelConfig.answers`."""
        counting = counted(annotations, faults)
        answers = {
            control.question.name: control.answer(counting, partial(self._read, control, faults))
            for control in self.controls
        }
        return {name: answer for name, answer in answers.items() if answer is not None}

    def judgements(self, annotations: Sequence[Any]) -> tuple[Judgement, ...]:
        """See `LabelConfig.judgements`."""
        judged = []
        of_images = [control for control in self.controls if not control.question.label_type.has_regions]
        for annotation in counted(annotations, []):
            answers = {
                control.question.name: control.answer([annotation], partial(self._read, control, []))
                for control in of_images
            }
            known = {name: answer for name, answer in answers.items() if answer is not None}
            judged.append(Judgement(annotation.annotator, annotation.seconds, known))
        return tuple(judged)

    def _read(self, control: Control, faults: list[str], annotation: Annotation) -> Any:
        """One annotation's answer; None if it has none. Catches every error that an annotation can cause."""
        context = Context(self.control_names, len(self.controls) == 1, partial(self._may_be_empty, control))
        try:
            return control.read(annotation.results, context, faults)
        except Exception as error:
            logger.exception("an annotation cannot be read")
            faults.append(f"An annotation is left out: it cannot be read ({type(error).__name__}).")
        return None

    def _may_be_empty(self, control: Control, results: Sequence[Result], faults: list[str]) -> bool:
        """Whether an annotation that leaves a question empty answers it with nothing."""
        if len(self.controls) > 1:
            return False
        names = [result.get("from_name") for result in results]
        others = [name for name in names if name not in (None, *control.names)]  # relations have no name
        if others:
            faults.append(
                f'An annotation with results only of "{shown_text(others[0])}" is left out: '
                "PT4AL does not learn from that."
            )
        return not others
