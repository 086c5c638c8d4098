"""Are probabilities as high as answers are right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.assessment.confident_learning import Floats

BINS = 10
"""Of a reliability table."""


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers whose probability is in one interval of a reliability table."""

    low: float
    high: float
    answers: int
    confidence: float | None
    """Their mean probability."""
    accuracy: float | None
    """The share that is right."""


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities are as high as answers are right (Guo et al., ICML 2017, section 2)."""

    error: float
    """The expected calibration error: the mean difference between confidence and accuracy, weighted by answers."""
    bins: tuple[ReliabilityBin, ...]


def calibration(confidence: Floats, right: NDArray[np.bool_]) -> Calibration:
    """Compare probabilities (n,) of answers with whether they are right (n,), in `BINS` intervals of equal width."""
    number = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    counts = np.bincount(number, minlength=BINS)
    means = np.bincount(number, weights=confidence, minlength=BINS) / np.maximum(counts, 1)
    shares = np.bincount(number, weights=right, minlength=BINS) / np.maximum(counts, 1)
    bins = tuple(
        ReliabilityBin(k / BINS, (k + 1) / BINS, count, mean if count else None, share if count else None)
        for k, (count, mean, share) in enumerate(zip(counts.tolist(), means.tolist(), shares.tolist(), strict=True))
    )
    return Calibration(float((counts * np.abs(means - shares)).sum() / max(1, counts.sum())), bins)
