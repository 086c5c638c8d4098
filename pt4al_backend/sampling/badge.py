"""Choose images that are uncertain and unlike one another: k-means++ over gradient embeddings, as in BADGE.

"Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds" (Ash, Zhang, Krishnamurthy, Langford,
Agarwal, ICLR 2020): the gradient that an image would send into the last layer, if the model's own answer
were its label, is long where the model is unsure, and points elsewhere for images unlike one another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling import typical
from pt4al_backend.sampling.candidates import Candidates, Positions

AT_ONCE = 256  # gradients that all others are compared with at a time


def query(candidates: Candidates, n: int) -> Positions:
    """Images whose gradients are long, and unlike one another and those of the candidates that are labelled.

    Before the first label, typical ones.
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
    # In a batch these are the round's own. Where many more are labelled, the short ones keep nothing away.
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
    """Outer products of error and input: neither lengths nor distances need them written out."""

    inputs: NDArray[np.float64]
    """Embeddings (m, D)."""
    errors: NDArray[np.float64]
    """(m, E): what is predicted, less the class the model predicts."""

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, positions: NDArray[np.int64]) -> Gradients:
        return Gradients(self.inputs[positions], self.errors[positions])

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """(m,), squared."""
        return (self.errors**2).sum(axis=1) * (self.inputs**2).sum(axis=1)

    def to_nearest(self, others: Gradients) -> NDArray[np.float64]:
        """(m,) squared distances from the nearest of `others`; infinite where there are none."""
        nearest = np.full(len(self), np.inf)
        for start in range(0, len(others), AT_ONCE):
            some = others[np.arange(start, min(start + AT_ONCE, len(others)))]
            products = (self.errors @ some.errors.T) * (self.inputs @ some.inputs.T)
            squared = self.lengths[:, None] + some.lengths - 2 * products
            nearest = np.minimum(nearest, squared.min(axis=1))
        return np.maximum(nearest, 0.0)


def spread_out(
    candidates: Gradients, *, chosen: Gradients, random_key: NDArray[np.floating], wanted: int
) -> NDArray[np.int64]:
    """`wanted` positions among `candidates` (or all), in the order in which k-means++ draws them.

    If none are `chosen` before, the longest is first. What is like one drawn, or like no gradient at all, is hardly
    drawn.

    `random_key` (m,), in [0, 1), decides the draws, image by image: a model that changes little changes little of the
    order. The least of exponential waits, each divided by its weight, is drawn in proportion to the weights.
    """
    waits = np.maximum(-np.log1p(-random_key), 1e-12)
    distances = np.minimum(candidates.lengths, candidates.to_nearest(chosen))
    picks: list[int] = []
    while len(picks) < min(wanted, len(candidates)):
        if not distances.any():  # all that is left equals something picked
            rest = np.setdiff1d(np.arange(len(candidates)), picks)
            picks += rest[np.argsort(waits[rest], kind="stable")][: wanted - len(picks)].tolist()
            break
        pick = int((distances / waits if picks or len(chosen) else distances).argmax())
        picks.append(pick)
        distances = np.minimum(distances, candidates.to_nearest(candidates[np.array([pick])]))
        distances[picks] = 0.0
    return np.array(picks, dtype=np.int64)
