"""BADGE: choose uncertain and diverse images by k-means++ on gradient embeddings.

"Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (Ash, Zhang, Krishnamurthy, Langford,
Agarwal, ICLR 2020), algorithm 1. An image's gradient embedding is the gradient of the loss with respect to the last
layer if the predicted class were the label. It is long if the model is uncertain, and different images have gradients
of different directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling import typical
from pt4al_backend.sampling.candidates import Candidates, Positions

AT_ONCE = 256
"""Number of gradients that all others are compared with at a time."""


def query(candidates: Candidates, n: int) -> Positions:
    """Images whose gradients are long and differ from one another and from those of labelled candidates.

    Typical images before the first label.
    """
    open_, closed = np.flatnonzero(candidates.open), np.flatnonzero(~candidates.open)
    waiting, done = candidates[open_], candidates[closed]
    if waiting.gradients is None or done.gradients is None:
        return typical.query(candidates, n)
    if not len(waiting.known):
        return waiting.known
    embeddings = waiting.embeddings[waiting.known]
    mean, scale = embeddings.mean(axis=0), embeddings.std(axis=0) + 1e-6
    chosen = _standardised(done, mean, scale)
    # Within a batch these are the labels of the round. If far more are labelled, the short gradients have no effect.
    chosen = chosen[np.argsort(-chosen.lengths, kind="stable")[: candidates.query_size]]
    keys = waiting.random_key[waiting.known]
    picks = spread_out(_standardised(waiting, mean, scale), chosen=chosen, random_key=keys, wanted=n)
    return open_[waiting.known[picks]]


def _standardised(candidates: Candidates, mean: NDArray[np.floating], scale: NDArray[np.floating]) -> Gradients:
    """The gradients of those candidates whose embeddings are known."""
    known, gradients = candidates.known, candidates.gradients
    assert gradients is not None
    return Gradients(
        ((candidates.embeddings[known] - mean) / scale).astype(np.float64), gradients[known].astype(np.float64)
    )


@dataclass(frozen=True)
class Gradients:
    """Gradients as outer products of errors and inputs; lengths and distances do not need the products themselves."""

    inputs: NDArray[np.float64]
    """Embeddings (m, D)."""
    errors: NDArray[np.float64]
    """(m, E), predicted probabilities minus the predicted label."""

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, positions: NDArray[np.int64]) -> Gradients:
        return Gradients(self.inputs[positions], self.errors[positions])

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """Squared lengths (m,)."""
        return (self.errors**2).sum(axis=1) * (self.inputs**2).sum(axis=1)

    def to_nearest(self, others: Gradients) -> NDArray[np.float64]:
        """Squared distances (m,) to the nearest of `others`; infinite if there are none."""
        nearest = np.full(len(self), np.inf)
        for start in range(0, len(others), AT_ONCE):
            chunk = others[np.arange(start, min(start + AT_ONCE, len(others)))]
            products = (self.errors @ chunk.errors.T) * (self.inputs @ chunk.inputs.T)
            squared = self.lengths[:, None] + chunk.lengths - 2 * products
            nearest = np.minimum(nearest, squared.min(axis=1))
        return np.maximum(nearest, 0.0)


def spread_out(
    candidates: Gradients, *, chosen: Gradients, random_key: NDArray[np.floating], wanted: int
) -> NDArray[np.int64]:
    """Draw from `candidates` by k-means++; gradients close to a drawn one, or close to zero, are rarely drawn.

    The smallest of exponential waiting times, each divided by its weight, is a draw in proportion to the weights. The
    waiting times are fixed per image, so a small change of the model changes little of the order.

    Args:
        candidates: m gradients.
        chosen: gradients of images already chosen; if there are none, the longest gradient is drawn first.
        random_key: (m,) in [0, 1); determines the draws.
        wanted: how many to draw.

    Returns:
        `wanted` positions (or all), in the order in which they are drawn.
    """
    waits = np.maximum(-np.log1p(-random_key), 1e-12)
    distances = np.minimum(candidates.lengths, candidates.to_nearest(chosen))
    picks: list[int] = []
    while len(picks) < min(wanted, len(candidates)):
        if not distances.any():  # all remaining gradients equal a drawn one
            rest = np.setdiff1d(np.arange(len(candidates)), picks)
            picks += rest[np.argsort(waits[rest], kind="stable")][: wanted - len(picks)].tolist()
            break
        pick = int((distances / waits if picks or len(chosen) else distances).argmax())
        picks.append(pick)
        distances = np.minimum(distances, candidates.to_nearest(candidates[np.array([pick])]))
        distances[picks] = 0.0
    return np.array(picks, dtype=np.int64)
