"""Single choice: one class for an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.sampling.uncertainty import softmax


def error_of_one(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of one class out of these (n, classes)."""
    errors = softmax(logits)
    errors[np.arange(len(errors)), errors.argmax(axis=1)] -= 1
    return errors


def class_numbers(question: Question, answers: Sequence[Answers]) -> NDArray[np.int64]:
    """Answers of a `single` question: (n,), -1 where it was not answered."""
    number = {name: k for k, name in enumerate(question.classes)}
    return np.array([number.get(answer.get(question.name, ""), -1) for answer in answers], dtype=np.int64)
