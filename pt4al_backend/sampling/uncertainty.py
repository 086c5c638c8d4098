"""Uncertainty measures of logits; high means uncertain."""

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
    """1 - the top probability of a softmax over the L2-normalised logits (PT4AL's published code). (n,)

    Logits of two classes are not normalised: opposite logits would all have the same length afterwards.
    """
    if logits.shape[1] == 2:
        return 1 - softmax(logits).max(axis=1)
    norms = np.linalg.norm(logits.astype(np.float64), axis=1, keepdims=True)
    return 1 - softmax(logits / np.maximum(norms, 1e-12)).max(axis=1)


def margin(logits: Floats) -> NDArray[np.float64]:
    """1 - (largest - second-largest probability); 0 with a single class. (n,)"""
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
    """Combine several uncertainties (n,) into one: the mean of each image's ranks, in (0, 1]; NaN if all are NaN."""
    ranks = np.full((len(uncertainties), len(uncertainties[0])), np.nan)
    for rank, uncertainty in zip(ranks, uncertainties, strict=True):
        known = np.flatnonzero(np.isfinite(uncertainty))
        _, tied, counts = np.unique(uncertainty[known], return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        rank[known] = (last - (counts - 1) / 2)[tied] / max(len(known), 1)
    counts_known = np.isfinite(ranks).sum(axis=0)
    return np.where(counts_known > 0, np.nansum(ranks, axis=0) / np.maximum(counts_known, 1), np.nan)
