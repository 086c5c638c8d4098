"""In which order the images of a lane are labelled.

A lane is one batch of PT4AL's or, for every other strategy, the whole pool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True)
class Candidates:
    """The images a query is taken from; arrays (m,), one entry per image, labelled and skipped ones too."""

    batch: NDArray[np.integer]
    """Which slice of the sorted pool each is in."""
    rank: NDArray[np.integer]
    """Counts the pretext loss, hardest first."""
    uncertainty: NDArray[np.floating]
    """NaN where the model has no opinion."""
    random_key: NDArray[np.floating]
    """Random, but the same image always has the same."""
    open: NDArray[np.bool_]
    """What can still be labelled."""
    query_size: int
    features: Callable[[Positions], NDArray[np.floating]]
    """Features (k, D) of images of the lane; a row is NaN where they are not known yet."""
    labelled: Callable[[], NDArray[np.floating]]
    """Features (l, D) of all labelled images of the pool."""
    errors: Callable[[Positions], NDArray[np.float64]] | None
    """What the model predicts of images whose features are known, less its own answer (k, outputs): the loss's
    gradient by the logits, if that answer were the label. None before the first label."""
    predict: Callable[[Positions], NDArray[np.floating]] | None
    """Probabilities (k, classes) of images whose features are known, summing to 1; None before the first label, and
    where an image has more than one class."""
    mistakes: Callable[[], tuple[NDArray[np.integer], NDArray[np.floating]]]
    """The batch of each labelled image of the pool, and the share of its answers that a model which did not see
    them gets wrong. (l,)"""
    round: int
    seed: int

    def part(self, members: Positions) -> Candidates:
        """The lane of these of its images."""

        def of(ask: Callable[[Positions], T]) -> Callable[[Positions], T]:
            return lambda positions: ask(members[positions])

        return replace(
            self,
            batch=self.batch[members],
            rank=self.rank[members],
            uncertainty=self.uncertainty[members],
            random_key=self.random_key[members],
            open=self.open[members],
            features=of(self.features),
            errors=of(self.errors) if self.errors else None,
            predict=of(self.predict) if self.predict else None,
        )


Order = Callable[[Candidates, int], Positions]
"""A lane, and how many of its images are wanted -> its open positions in serving order.

Behind the wanted ones the order hardly matters: it is made anew before their turn comes.
"""


def uncertain(lane: Candidates, wanted: int) -> Positions:
    """Most uncertain first; where the model has no opinion, afterwards, by rank."""
    uncertainty = np.nan_to_num(lane.uncertainty, nan=-np.inf)
    ordered = np.lexsort((lane.rank, -uncertainty))
    return ordered[lane.open[ordered]]


def random_key(tasks: NDArray[np.integer], *, seed: int) -> NDArray[np.float64]:
    """A random number in [0, 1) for each task id (n,): the same whatever other tasks there are."""
    mixed = np.asarray(tasks, dtype=np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2.0**64


def then_the_rest(first: Positions, lane: Candidates) -> Positions:
    """`first`, then the other open images of the lane, most uncertain first."""
    rest = uncertain(lane, 0)
    return np.concatenate([first, rest[~np.isin(rest, first)]]).astype(np.int64)


def known(lane: Candidates, positions: Positions) -> tuple[Positions, NDArray[np.floating]]:
    """Those of `positions` whose features are known, and these features."""
    features = lane.features(positions)
    have = np.isfinite(features).all(axis=1)
    return positions[have], features[have]
