"""Multiple choice: any number of classes for an image, each there or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.sampling.uncertainty import Floats


def of_labels(logits: Floats, measure: Callable[[Floats], NDArray[np.float64]]) -> NDArray[np.float64]:
    """(n,) of logits (n, classes) of independent labels: the mean of `measure` over the labels, each there or not."""
    n, classes = logits.shape
    there_or_not = np.stack([np.zeros(n * classes), logits.reshape(-1)], axis=1)
    return measure(there_or_not).reshape(n, classes).mean(axis=1)


def error_of_labels(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of labels that do not exclude one another (n, classes)."""
    errors = 1 / (1 + np.exp(-logits.astype(np.float64))) - (logits > 0)
    return 2 * errors / np.sqrt(logits.shape[1])


def chosen_classes(question: Question, answers: Sequence[Answers]) -> NDArray[np.int8]:
    """Answers of a `multiple` question: (n, classes) of 0 and 1, rows of -1 where it was not answered."""
    chosen = np.full((len(answers), len(question.classes)), -1, dtype=np.int8)
    for row, answer in zip(chosen, answers, strict=True):
        if question.name in answer:
            row[:] = [name in answer[question.name] for name in question.classes]
    return chosen
