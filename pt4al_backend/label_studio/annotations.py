"""What people's annotations of one task answer.

Annotations may be imported, and Label Studio does not validate them: they may hold any JSON (facts 36 and 41).
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pt4al_backend.label_studio.label_config.choices import CHOICES, majorities, majority
from pt4al_backend.label_studio.label_config.class_control import ClassControl, Result, UnusableChoicesError
from pt4al_backend.label_studio.label_config.regions import RegionControl, is_known, read_regions
from pt4al_backend.label_studio.label_config.tags import shown_text
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SingleChoice

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Annotation:
    """What is read of an annotation that counts."""

    results: Sequence[Result]
    is_truth: bool
    """Whether somebody said that it is the right one (Label Studio's ground truth)."""


def counted(annotations: Sequence[Any], faults: list[str]) -> list[Annotation]:
    """Those that count, the oldest first, and behind them those that are ground truth."""
    objects = [annotation for annotation in annotations if isinstance(annotation, dict)]
    if len(objects) < len(annotations):
        faults.append("An annotation is left out: it is no object.")
    found = []
    for annotation in sorted(objects, key=_age):
        results = annotation.get("result")
        if annotation.get("was_cancelled") or results is None:
            continue
        if isinstance(results, list) and all(isinstance(result, dict) for result in results):
            found.append(Annotation(results, annotation.get("ground_truth") is True))
        else:
            faults.append("An annotation is left out: its result is not a list of objects.")
    return sorted(found, key=lambda annotation: annotation.is_truth)


def _age(annotation: Mapping[str, Any]) -> tuple[str, int]:
    """Sort key, oldest first. Time stamps are ISO texts in UTC; numbers tell annotations of one moment apart."""
    stamp, number = annotation.get("updated_at") or annotation.get("created_at"), annotation.get("id")
    return stamp if isinstance(stamp, str) else "", number if isinstance(number, int) else 0


@dataclass(frozen=True)
class AnnotationReader:
    """Reads the annotations of a project's tasks, which ask `questions`."""

    questions: tuple[Question, ...]
    regions: tuple[RegionControl, ...]
    """The controls of the `segmentation` question, if there is one."""
    controls: Collection[str]
    """Names of all controls, learnt or not."""
    class_controls: Mapping[str, ClassControl] = field(default_factory=dict)
    """By name of the question; Choices where there is none."""

    def answers(self, annotations: Sequence[Any], faults: list[str]) -> Answers:
        """See `LabelConfig.answers`."""
        given = counted(annotations, faults)
        answers: Answers = {}
        for question in self.questions:
            if question.label_type == SEGMENTATION:
                newest_first = (self._read(question, annotation, faults) for annotation in reversed(given))
                answer = next((regions for regions in newest_first if regions is not None), None)
            else:
                answer = self._voted(question, given, faults)
            if answer is not None:
                answers[question.name] = answer
        return answers

    def _voted(self, question: Question, given: Sequence[Annotation], faults: list[str]) -> Any:
        read = [(annotation.is_truth, self._read(question, annotation, faults)) for annotation in given]
        votes = [(is_truth, vote) for is_truth, vote in read if vote is not None]
        counting = [vote for is_truth, vote in votes if is_truth] or [vote for _, vote in votes]
        if isinstance(question.label_type, SingleChoice):
            return majority([vote[0] for vote in counting])
        return majorities(question, counting)

    def _read(self, question: Question, annotation: Annotation, faults: list[str]) -> Any:
        """What one annotation answers: the classes it chose, of a `single` one; its regions. None: nothing.

        The one place where it is caught whatever an annotation makes us raise.
        """
        try:
            if question.label_type == SEGMENTATION:
                return self._drawn(question, annotation.results, faults)
            return self._vote(question, annotation.results, faults)
        except UnusableChoicesError:
            faults.append(
                f'What an annotation chose of "{shown_text(question.name)}" is left out: it is not a list of texts.'
            )
        except Exception as error:
            logger.exception("an annotation cannot be read")
            faults.append(f"An annotation is left out: it cannot be read ({type(error).__name__}).")
        return None

    def _vote(self, question: Question, results: Sequence[Result], faults: list[str]) -> tuple[str, ...] | None:
        vote = self.class_controls.get(question.name, CHOICES).chosen(question, results)
        if isinstance(question.label_type, SingleChoice):
            return vote if vote is not None and len(vote) == 1 else None
        if vote == () and not self._is_box(question):
            return vote if self._may_be_empty(results, faults) else None
        return vote

    def _is_box(self, question: Question) -> bool:
        """Whether what is not ticked was answered with no, whatever else was answered."""
        return question.label_type == MULTIPLE and len(question.classes) == len(self.questions) == 1

    def _drawn(self, question: Question, results: Sequence[Result], faults: list[str]) -> list[dict[str, Any]] | None:
        regions, unusable = read_regions(results, self.regions, question.classes, self.controls)
        faults += unusable
        if any(map(is_known, regions)) or (not unusable and self._may_be_empty(results, faults)):
            return regions
        return None

    def _may_be_empty(self, results: Sequence[Result], faults: list[str]) -> bool:
        """Whether an annotation that leaves a question empty answers it."""
        if len(self.questions) > 1:
            return False
        learnt = [control.name for control in self.regions] or [self.questions[0].name]
        names = [result.get("from_name") for result in results]
        others = [name for name in names if name not in (None, *learnt)]  # relations have no name
        if others:
            faults.append(
                f'An annotation with results of "{shown_text(others[0])}" alone is left out: '
                "PT4AL does not learn from that."
            )
        return not others
