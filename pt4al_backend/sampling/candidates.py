"""The images a query is taken from, and what is known of them: all that a query strategy gets to see."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


class InvalidQuery(Exception):
    """What a strategy returned is no query; the text follows on its name."""


class Source(Protocol):
    """What is costly to know, asked for only where a strategy uses it. Positions are those in the pool."""

    def embeddings(self, positions: Positions) -> NDArray[np.floating]:
        """See `Candidates.embeddings`."""

    def gradients(self, positions: Positions) -> NDArray[np.floating] | None:
        """See `Candidates.gradients`."""

    def labelled_embeddings(self) -> NDArray[np.floating]:
        """See `Candidates.labelled_embeddings`."""

    def out_of_fold_errors(self) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        """See `Candidates.out_of_fold_errors`."""


@dataclass(frozen=True)
class Candidates:
    """The images a query is taken from: one batch of PT4AL's or, for most other strategies, the whole pool.

    Arrays have one entry per image, labelled and skipped ones too; a position is a place in these arrays, 0 to m - 1.
    """

    pool_positions: Positions
    """(m,) where each is in the pool; for `source`, not for strategies."""
    batch: NDArray[np.integer]
    """(m,) which batch of the sorted pool each is in."""
    rank: NDArray[np.integer]
    """(m,) place in the pool sorted by pretext loss, hardest first."""
    uncertainty: NDArray[np.floating]
    """(m,) high where the model is unsure; NaN where it predicts nothing."""
    random_key: NDArray[np.floating]
    """(m,) random numbers in [0, 1), but the same image always has the same."""
    open: NDArray[np.bool_]
    """(m,) what can still be labelled: a query is taken from these."""
    query_size: int
    round: int
    seed: int
    source: Source

    def __len__(self) -> int:
        return len(self.rank)

    def __getitem__(self, positions: Positions) -> Candidates:
        """These of the candidates: what is costly is then known of these alone."""
        return replace(
            self,
            pool_positions=self.pool_positions[positions],
            batch=self.batch[positions],
            rank=self.rank[positions],
            uncertainty=self.uncertainty[positions],
            random_key=self.random_key[positions],
            open=self.open[positions],
        )

    @cached_property
    def embeddings(self) -> NDArray[np.floating]:
        """(m, D); a row is NaN where it is not computed yet."""
        return self.source.embeddings(self.pool_positions)

    @cached_property
    def known(self) -> Positions:
        """(k,) the positions whose embeddings are computed."""
        return np.flatnonzero(np.isfinite(self.embeddings).all(axis=1))

    @cached_property
    def gradients(self) -> NDArray[np.floating] | None:
        """(m, outputs) the loss's gradient by the logits, if what the model predicts were the label.

        NaN where the embedding is not computed yet. None before the first label.
        """
        return self.source.gradients(self.pool_positions)

    @cached_property
    def labelled_embeddings(self) -> NDArray[np.floating]:
        """(l, D) of all labelled images of the pool."""
        return self.source.labelled_embeddings()

    @cached_property
    def out_of_fold_errors(self) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        """(l,) the batch of each labelled image of the pool, and how wrong, 0 to 1, a model is that did not see it."""
        return self.source.out_of_fold_errors()

    def most_uncertain_first(self) -> Positions:
        """All open images, most uncertain first; where the model predicts nothing, afterwards, by rank."""
        uncertainty = np.nan_to_num(self.uncertainty, nan=-np.inf)
        ordered = np.lexsort((self.rank, -uncertainty))
        return ordered[self.open[ordered]]

    def serving_order(self, query: Positions) -> Positions:
        """All open images: `query`, then the others, most uncertain first.

        Raises:
            InvalidQuery: `query` is not an array of distinct positions of open images.
        """
        query = np.asarray(query)
        if query.ndim != 1 or not (np.issubdtype(query.dtype, np.integer) or not len(query)):
            raise InvalidQuery("did not return an array of positions")
        query = query.astype(np.int64)
        if ((query < 0) | (query >= len(self))).any() or not self.open[query].all():
            raise InvalidQuery("returned positions of images that cannot be labelled")
        if len(np.unique(query)) < len(query):
            raise InvalidQuery("returned a position twice")
        rest = self.most_uncertain_first()
        return np.concatenate([query, rest[~np.isin(rest, query)]])


Query = Callable[[Candidates, int], Positions]
"""Candidates, and how many images are wanted -> positions of open ones in serving order: as many, if there are.

They may be fewer, where no more can be told apart, and more. All other open images follow, most uncertain first.
"""


def random_key(tasks: NDArray[np.integer], *, seed: int) -> NDArray[np.float64]:
    """A random number in [0, 1) for each task id (n,): the same whatever other tasks there are."""
    mixed = np.asarray(tasks, dtype=np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2.0**64
