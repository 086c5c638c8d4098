"""Single choice: one class for an image. An answer is a class."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.label_type import Drawings, Floats, LabelType, Measure
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.sampling.uncertainty import softmax

SURE = 0.9
"""From this probability on, the model is not called uncertain."""


class SingleChoice(LabelType):
    """One class for an image."""

    name = "single"
    title = "classification"
    one_class = True
    metric = metric_title = "accuracy"

    def targets(self, question: Question, answers: Sequence[Answers], drawings: Drawings) -> NDArray[np.int64]:
        """Class numbers (n,), -1 for unlabelled images."""
        return class_numbers(question, answers)

    def uncertainty(self, logits: Floats, measure: Measure) -> NDArray[np.float64]:
        return measure(logits)

    def errors(self, logits: Floats) -> NDArray[np.float64]:
        return error_of_one(logits)

    def probabilities(self, logits: Floats) -> NDArray[np.float64]:
        return softmax(logits)

    def doubt(self, question: Question, logits: Floats) -> str:
        probabilities = softmax(logits[None])[0]
        best, *others = np.argsort(-probabilities, kind="stable").tolist()
        first = f"{question.classes[best]} ({100 * probabilities[best]:.0f} %)"
        if not others or probabilities[best] >= SURE:
            return f"probably {first}"
        return f"uncertain between {first} and {question.classes[others[0]]} ({100 * probabilities[others[0]]:.0f} %)"

    def counts(self, question: Question, answers: Sequence[Answers]) -> NDArray[np.int64]:
        numbers = class_numbers(question, answers)
        return np.bincount(numbers[numbers >= 0], minlength=len(question.classes))

    def unpredicted(self, images: int, classes: int) -> NDArray[np.int32]:
        """Class numbers (n,)."""
        return np.zeros(images, np.int32)

    def predicted(self, logits: Floats) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
        return softmax(logits).max(axis=1), logits.argmax(axis=1)

    def value(self, question: Question, stored: NDArray[np.integer]) -> str:
        return question.classes[int(stored)]

    def figures(self, classes: int, results: Iterable[tuple[int, Floats]]) -> dict[str, Any]:
        """Accuracy over all images, the mean accuracy of the classes, and the accuracy of each class."""
        pairs = [(truth, truth == int(logits.argmax())) for truth, logits in results]
        truths, correct = (np.array(values) for values in zip(*pairs, strict=True))
        of_class = [correct[truths == number] for number in range(classes)]
        return {
            "accuracy": float(correct.mean()),
            "balanced_accuracy": float(np.mean([each.mean() for each in of_class if len(each)])),
            "by_class": [
                {"test_images": len(each), **({"accuracy": float(each.mean())} if len(each) else {})}
                for each in of_class
            ],
        }


def class_numbers(question: Question, answers: Sequence[Answers]) -> NDArray[np.int64]:
    """(n,), -1 for images without an answer to the question."""
    number = {name: k for k, name in enumerate(question.classes)}
    return np.array([number.get(answer.get(question.name, ""), -1) for answer in answers], dtype=np.int64)


def error_of_one(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """`LabelType.errors` of mutually exclusive classes, given logits (n, classes)."""
    errors = softmax(logits)
    errors[np.arange(len(errors)), errors.argmax(axis=1)] -= 1
    return errors


SINGLE = SingleChoice()
