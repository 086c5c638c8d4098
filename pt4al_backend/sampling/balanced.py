"""Balanced coverage: typical images, above all of classes that have few labels yet.

Coverage of the whole pool ("Generalized Coverage for More Robust Low-Budget Active Learning", Bae, Noh, Sutherland,
ECCV 2024), in which an image counts the more the fewer labelled images are of the class predicted for it. With good
embeddings this beats any use of uncertainty while labels are few (`benchmarks/decisions/pretrained_queries.py`): a
rare class is found early, and no round is lost on images that are merely confusing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling import coverage
from pt4al_backend.sampling.candidates import Candidates, Positions

WIDTH = 1.0
"""Squared kernel width as a fraction of the mean squared distance."""
STRENGTH = 0.5
"""0: all images count alike; 1: an image counts as much as its class is rare among the labels."""


def query(candidates: Candidates, n: int) -> Positions:
    """Images that stand for many others of classes with few labels; typical images before the first label."""
    predicted = candidates.predicted
    weights = np.ones(len(candidates)) if predicted is None else rarity(predicted, labelled=~candidates.open)
    return coverage.cover(candidates, weights, n, width=WIDTH)


def rarity(predicted: NDArray[np.integer], *, labelled: NDArray[np.bool_]) -> NDArray[np.float64]:
    """How rare the predicted classes are among the labelled images, 1 or more; the mean over several values.

    Args:
        predicted: (m, values), -1 where nothing is predicted.
        labelled: (m,).

    Returns:
        (m,), 0 where nothing is predicted.
    """
    weights = np.zeros(len(predicted))
    for values in predicted.T:
        known = values >= 0
        counts = np.bincount(values[known & labelled], minlength=values.max(initial=0) + 1) + 1
        weights[known] += (counts.sum() / counts[values[known]]) ** STRENGTH
    return weights / max(predicted.shape[1], 1)
