"""How unsure the main model is of an image, from its logits. High = unsure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def softmax(logits: Floats) -> NDArray[np.float64]:
    """Probabilities (n, classes) of logits (n, classes)."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    exponentials = np.exp(shifted)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def confidence(logits: Floats) -> NDArray[np.float64]:
    """1 - the top probability after a softmax over the L2-normalised logits (PT4AL's published code). (n,)

    Two logits of opposite sign would all be of one length, so with two classes they are taken as they are.
    """
    if logits.shape[1] == 2:
        return 1 - softmax(logits).max(axis=1)
    norms = np.linalg.norm(logits.astype(np.float64), axis=1, keepdims=True)
    return 1 - softmax(logits / np.maximum(norms, 1e-12)).max(axis=1)


def margin(logits: Floats) -> NDArray[np.float64]:
    """1 - (first - second) probability; 0 where there is only one class. (n,)"""
    if logits.shape[1] < 2:
        return np.zeros(len(logits))
    top = np.partition(softmax(logits), -2, axis=1)
    return 1 - (top[:, -1] - top[:, -2])


def entropy(logits: Floats) -> NDArray[np.float64]:
    """Shannon entropy of the probabilities in nats. (n,)"""
    probabilities = softmax(logits)
    return -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(axis=1)


UNCERTAINTIES: dict[str, Callable[[Floats], NDArray[np.float64]]] = {
    "confidence": confidence,
    "margin": margin,
    "entropy": entropy,
}


def mean_rank(uncertainties: Sequence[Floats]) -> NDArray[np.float64]:
    """One uncertainty (n,) of several: the mean of the ranks in each, in (0, 1]. NaN where none is known."""
    ranks = np.full((len(uncertainties), len(uncertainties[0])), np.nan)
    for rank, uncertainty in zip(ranks, uncertainties, strict=True):
        known = np.flatnonzero(np.isfinite(uncertainty))
        _, tied, counts = np.unique(uncertainty[known], return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        rank[known] = (last - (counts - 1) / 2)[tied] / max(len(known), 1)
    known_to = np.isfinite(ranks).sum(axis=0)
    return np.where(known_to > 0, np.nansum(ranks, axis=0) / np.maximum(known_to, 1), np.nan)
