"""Labels that are likely wrong, worst first.

A label is doubtful if a model that did not see it prefers another, and if similar images have other labels. The model
and the neighbours are averaged: together they find more wrong labels than either alone, and more than other scores that
are in use (`benchmarks/label_errors.py`). Which labels are called errors, confident learning says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.assessment.confident_learning import Floats, confident_joint

NEIGHBOURS = 10
"""Labelled images that are compared with each."""
DOUBT = 0.1
"""Added to both probabilities that are compared: that one is ten times the other means little if both are small."""
_AT_ONCE = 1000


@dataclass(frozen=True)
class LabelErrors:
    """Labelled images, those first whose label is most likely wrong. All arrays are in this order."""

    positions: NDArray[np.int64]
    """(s,) in the arrays that were judged."""
    quality: NDArray[np.float64]
    """(s,) of the label, above 0 and below 1: how likely it is beside `instead`, which below 0.5 is more likely."""
    instead: NDArray[np.int64]
    """(s,) the most likely other class. Of a multiple choice, the class whose answer is most doubtful: it should be
    added if it was not chosen, and removed if it was."""
    probability: NDArray[np.float64]
    """(s,) of that alternative, by model and neighbours."""
    errors: NDArray[np.bool_]
    """(s,) whether confident learning calls the label an error."""


def errors_of_one_class(
    labels: NDArray[np.integer], probabilities: Floats, embeddings: Floats | None = None
) -> LabelErrors:
    """Judge labels of a single choice.

    Args:
        labels: (l,) class numbers. Images whose number is negative are left out.
        probabilities: (l, classes) out-of-fold. Images with a NaN are left out.
        embeddings: (l, D), which tell which images look alike; without them only the probabilities count.
    """
    known = np.flatnonzero((labels >= 0) & np.isfinite(probabilities).all(axis=1))
    given, n, classes = labels[known], len(known), probabilities.shape[1]
    if n == 0 or classes < 2:
        return _NOTHING
    likely = _averaged(probabilities[known], np.eye(classes)[given], None if embeddings is None else embeddings[known])
    rows = np.arange(n)
    of_given, others = likely[rows, given], likely.copy()
    others[rows, given] = -1.0
    instead = others.argmax(axis=1)
    of_other = others[rows, instead]
    # with few labels a class has a low threshold, which another class may pass without being likely
    errors = confident_joint(given, likely).errors & (of_other > 0.5)
    return _worst_first(known, _beside(of_given, of_other), instead, of_other, errors)


def errors_of_any_classes(
    labels: NDArray[np.integer], probabilities: Floats, embeddings: Floats | None = None
) -> LabelErrors:
    """Judge labels of a multiple choice: an image is as good as the most doubtful of its answers.

    Args:
        labels: (l, classes) of 0 and 1. Images with a negative number are left out.
        probabilities: (l, classes) that each class was chosen, out-of-fold. Images with a NaN are left out.
        embeddings: as in `errors_of_one_class`.
    """
    known = np.flatnonzero((labels >= 0).all(axis=1) & np.isfinite(probabilities).all(axis=1))
    chosen, n, classes = labels[known].astype(np.int64), len(known), probabilities.shape[1]
    if n == 0 or classes == 0:
        return _NOTHING
    likely = _averaged(probabilities[known], chosen, None if embeddings is None else embeddings[known])
    of_given = np.where(chosen == 1, likely, 1 - likely)
    rows, worst = np.arange(n), of_given.argmin(axis=1)
    of_each = [
        confident_joint(answers, np.stack([1 - present, present], axis=1)).errors
        for answers, present in zip(chosen.T, likely.T, strict=True)
    ]
    of_worst = of_given[rows, worst]
    errors = np.stack(of_each, axis=1)[rows, worst]
    return _worst_first(known, _beside(of_worst, 1 - of_worst), worst, 1 - of_worst, errors)


def neighbour_shares(answers: NDArray[np.integer] | NDArray[np.floating], embeddings: Floats) -> NDArray[np.float64]:
    """The share (l, classes) of an image's `NEIGHBOURS` most similar others that have each class.

    Similarity is the cosine between centred embeddings; a neighbour counts as much as it is similar. The time grows
    with l^2.

    Args:
        answers: (l, classes) of 0 and 1.
        embeddings: (l, D), l > 1.
    """
    x = embeddings.astype(np.float32)
    x -= x.mean(axis=0)
    x /= np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    k = min(NEIGHBOURS, len(x) - 1)
    shares = np.empty(answers.shape)
    for start in range(0, len(x), _AT_ONCE):
        similarity = x[start : start + _AT_ONCE] @ x.T
        rows = np.arange(len(similarity))
        similarity[rows, start + rows] = -2.0  # nobody is a neighbour of itself
        nearest = np.argpartition(-similarity, k - 1, axis=1)[:, :k]
        weights = np.maximum(np.take_along_axis(similarity, nearest, axis=1), 1e-6).astype(np.float64)
        weights /= weights.sum(axis=1, keepdims=True)
        shares[start : start + _AT_ONCE] = np.einsum("ik,ikc->ic", weights, answers[nearest])
    return shares


def _averaged(
    probabilities: Floats, answers: NDArray[np.integer] | NDArray[np.floating], embeddings: Floats | None
) -> NDArray[np.float64]:
    """(l, classes), what model and neighbours say together."""
    of_model = probabilities.astype(np.float64)
    if embeddings is None or len(embeddings) < 2:
        return of_model
    return np.clip((of_model + neighbour_shares(answers, embeddings)) / 2, 0, 1)  # shares are rounded


def _beside(of_given: NDArray[np.float64], of_other: NDArray[np.float64]) -> NDArray[np.float64]:
    """(s,) the quality of labels, from their probabilities and those of their best alternatives."""
    return (of_given + DOUBT) / (of_given + of_other + 2 * DOUBT)


def _worst_first(
    positions: NDArray[np.int64],
    quality: NDArray[np.float64],
    instead: NDArray[np.int64],
    probability: NDArray[np.float64],
    errors: NDArray[np.bool_],
) -> LabelErrors:
    order = np.argsort(quality, kind="stable")
    return LabelErrors(positions[order], quality[order], instead[order], probability[order], errors[order])


_NOTHING = LabelErrors(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64), np.zeros(0), np.zeros(0, bool))
