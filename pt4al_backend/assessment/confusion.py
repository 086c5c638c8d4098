"""Confusion matrices: how often labels and predictions come together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = tuple[tuple[int, ...], ...]
"""A confusion matrix (label, prediction) that can be written as JSON."""


def counted(labels: NDArray[np.integer], predicted: NDArray[np.integer], classes: int) -> NDArray[np.int64]:
    """(label, prediction) how often they come together, from two arrays (n,) of numbers in [0, classes)."""
    pairs = np.bincount(classes * labels.astype(np.int64) + predicted, minlength=classes**2)
    return pairs.reshape(classes, classes)


def as_rows(matrix: NDArray[np.integer]) -> Rows:
    """The matrix in tuples."""
    return tuple(map(tuple, matrix.tolist()))
