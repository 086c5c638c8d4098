"""Multiple choice: any number of classes for an image.

An answer is a list of classes, in the label config's order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.label_type import Drawings, Floats, LabelType, Measure
from pt4al_backend.labelling.questions import Answers, Question

DOUBTFUL = 0.9
"""Below this probability, of a class or of its absence, the model is uncertain about it."""
MOST_NAMED = 2
"""So many classes are named in a doubt."""


class MultipleChoice(LabelType):
    """Any number of classes for an image."""

    name = "multiple"
    title = "multi-label classification"
    usual_uncertainty = "entropy"

    def targets(self, question: Question, answers: Sequence[Answers], drawings: Drawings) -> NDArray[np.int8]:
        """(n, classes) of 0 and 1; rows of -1 for unlabelled images."""
        return chosen_classes(question, answers)

    def uncertainty(self, logits: Floats, measure: Measure) -> NDArray[np.float64]:
        return of_labels(logits, measure)

    def errors(self, logits: Floats) -> NDArray[np.float64]:
        return error_of_labels(logits)

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        return 1 / (1 + np.exp(-logits.astype(np.float64)))

    def doubt(self, question: Question, logits: Floats) -> str:
        probabilities = self.probabilities(logits)
        unsure = np.flatnonzero(np.abs(probabilities - 0.5) < DOUBTFUL - 0.5)
        if not len(unsure):
            sure = [question.classes[k] for k in np.flatnonzero(probabilities > 0.5).tolist()]
            return f"probably {' and '.join(sure) or 'none of the classes'}"
        worst = unsure[np.argsort(np.abs(probabilities[unsure] - 0.5), kind="stable")][:MOST_NAMED].tolist()
        return "uncertain about " + " and ".join(
            f"{question.classes[k]} ({100 * probabilities[k]:.0f} %)" for k in worst
        )

    def counts(self, question: Question, answers: Sequence[Answers]) -> NDArray[np.int64]:
        chosen = chosen_classes(question, answers)
        counts: NDArray[np.int64] = (chosen > 0).sum(axis=0)
        return counts

    def unpredicted(self, images: int, classes: int) -> NDArray[np.uint8]:
        """(n, classes) of 0 and 1."""
        return np.zeros((images, classes), np.uint8)

    def predicted(self, logits: Floats) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
        return (1 / (1 + np.exp(-np.abs(logits)))).mean(axis=1), (logits > 0).astype(np.uint8)

    def value(self, question: Question, stored: NDArray[np.integer]) -> tuple[str, ...]:
        return tuple(name for name, chosen in zip(question.classes, stored.tolist(), strict=True) if chosen)


def chosen_classes(question: Question, answers: Sequence[Answers]) -> NDArray[np.int8]:
    """(n, classes) of 0 and 1; rows of -1 for images without an answer to the question."""
    chosen = np.full((len(answers), len(question.classes)), -1, dtype=np.int8)
    for row, answer in zip(chosen, answers, strict=True):
        if question.name in answer:
            row[:] = [name in answer[question.name] for name in question.classes]
    return chosen


def of_labels(logits: Floats, measure: Measure) -> NDArray[np.float64]:
    """The mean uncertainty (n,) of independent labels, each absent or present, given logits (n, classes)."""
    n, classes = logits.shape
    absent_or_present = np.stack([np.zeros(n * classes), logits.reshape(-1)], axis=1)
    return measure(absent_or_present).reshape(n, classes).mean(axis=1)


def error_of_labels(logits: Floats) -> NDArray[np.float64]:
    """`LabelType.errors` of independent labels, given logits (n, classes)."""
    errors = 1 / (1 + np.exp(-logits.astype(np.float64))) - (logits > 0)
    return 2 * errors / np.sqrt(logits.shape[1])


MULTIPLE = MultipleChoice()
