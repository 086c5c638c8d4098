"""How good is a model, on labels that it did not see?

All results are frozen dataclasses of numbers and tuples: `json.dumps(dataclasses.asdict(result))` writes them. A figure
that does not exist, such as the recall of a class without labels, is None.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.assessment.calibration import Calibration, calibration
from pt4al_backend.assessment.confident_learning import Floats
from pt4al_backend.assessment.confusion import Rows, as_rows, counted
from pt4al_backend.assessment.estimates import Estimate, wilson


@dataclass(frozen=True)
class ClassQuality:
    """How well one class is found."""

    labels: int
    """Images that have the class."""
    predicted: int
    """Images that the model gives it."""
    precision: float | None
    """The share of `predicted` that is right."""
    recall: float | None
    """The share of `labels` that is found."""
    f1: float | None
    """The harmonic mean of both; None without labels and predictions."""


@dataclass(frozen=True)
class SingleQuality:
    """Of a single choice."""

    accuracy: Estimate
    """With the interval of Wilson."""
    balanced_accuracy: float
    """The mean recall of the classes that have labels."""
    classes: tuple[ClassQuality, ...]
    confusion: Rows
    """(label, prediction) number of images."""
    calibration: Calibration


@dataclass(frozen=True)
class MultipleQuality:
    """Of a multiple choice, which answers for every class whether an image has it."""

    answers_right: float
    """The share of all answers that are right: high in any case if most classes are absent from most images."""
    images_right: Estimate
    """The share of images of which every answer is right, with the interval of Wilson."""
    macro_f1: float | None
    """The mean F1 of the classes that have labels."""
    classes: tuple[ClassQuality, ...]
    calibration: Calibration
    """Of all answers; none has a probability below 0.5."""


def single_quality(labels: NDArray[np.integer], probabilities: Floats) -> SingleQuality | None:
    """How good predictions of a single choice are.

    Args:
        labels: (l,) class numbers. Images whose number is negative are left out.
        probabilities: (l, classes) of a model that did not see them. Images with a NaN are left out.

    Returns:
        None if no image is left.
    """
    known = (labels >= 0) & np.isfinite(probabilities).all(axis=1)
    given, p = labels[known], probabilities[known]
    n, classes = p.shape
    if n == 0:
        return None
    predicted = p.argmax(axis=1)
    confusion = counted(given, predicted, classes)
    found = confusion.diagonal()
    each = _of_classes(found, confusion.sum(axis=1), confusion.sum(axis=0))
    return SingleQuality(
        wilson(int(found.sum()), n),
        float(np.mean([one.recall for one in each if one.recall is not None])),
        each,
        as_rows(confusion),
        calibration(p.max(axis=1), predicted == given),
    )


def multiple_quality(labels: NDArray[np.integer], probabilities: Floats) -> MultipleQuality | None:
    """How good predictions of a multiple choice are; a class is predicted above a probability of 0.5.

    Args:
        labels: (l, classes) of 0 and 1. Images with a negative number are left out.
        probabilities: (l, classes) that each class is there, of a model that did not see them. Images with a NaN are
            left out.

    Returns:
        None if no image is left.
    """
    known = (labels >= 0).all(axis=1) & np.isfinite(probabilities).all(axis=1)
    given, p = labels[known] == 1, probabilities[known]
    if p.size == 0:
        return None
    predicted = p > 0.5
    right = predicted == given
    each = _of_classes((given & predicted).sum(axis=0), given.sum(axis=0), predicted.sum(axis=0))
    scores = [one.f1 for one in each if one.labels and one.f1 is not None]
    return MultipleQuality(
        float(right.mean()),
        wilson(int(right.all(axis=1).sum()), len(p)),
        float(np.mean(scores)) if scores else None,
        each,
        calibration(np.maximum(p, 1 - p).ravel(), right.ravel()),
    )


def _of_classes(
    found: NDArray[np.integer], labels: NDArray[np.integer], predicted: NDArray[np.integer]
) -> tuple[ClassQuality, ...]:
    """From numbers (classes,) of images: with the class as label and prediction, as label, and as prediction."""

    def share(part: int, whole: int) -> float | None:
        return part / whole if whole else None

    return tuple(
        ClassQuality(given, guessed, share(both, guessed), share(both, given), share(2 * both, given + guessed))
        for both, given, guessed in zip(found.tolist(), labels.tolist(), predicted.tolist(), strict=True)
    )
