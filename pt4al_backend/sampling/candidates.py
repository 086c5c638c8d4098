"""Candidates: the images that a query is taken from, with everything that a query strategy may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Positions = NDArray[np.int64]


class InvalidQuery(Exception):
    """A strategy returned an invalid query; the text continues a sentence that starts with its name."""


class Source(Protocol):
    """Data that is expensive to compute, requested only if a strategy uses it. Positions refer to the pool."""

    def embeddings(self, positions: Positions) -> NDArray[np.floating]:
        """See `Candidates.embeddings`."""

    def gradients(self, positions: Positions) -> NDArray[np.floating] | None:
        """See `Candidates.gradients`."""

    def labelled_embeddings(self) -> NDArray[np.floating]:
        """See `Candidates.labelled_embeddings`."""

    def out_of_fold_errors(self) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        """See `Candidates.out_of_fold_errors`."""

    def predicted(self, positions: Positions) -> NDArray[np.integer] | None:
        """See `Candidates.predicted`."""

    def predict(self, embeddings: NDArray[np.floating]) -> NDArray[np.integer] | None:
        """See `Candidates.predict`."""


@dataclass(frozen=True)
class Candidates:
    """The images that a query is taken from: one batch in PT4AL, the whole pool for most other strategies.

    Arrays have one entry per image, including labelled and skipped ones; a position is an index into these arrays,
    0 to m - 1.
    """

    pool_positions: Positions
    """(m,) each image's position in the pool; for `source`, not for strategies."""
    batch: NDArray[np.integer]
    """(m,) each image's batch of the sorted pool; -1 everywhere if the pool is not sorted."""
    rank: NDArray[np.integer]
    """(m,) each image's place in the pool sorted by pretext loss, hardest first; -1 everywhere if it is not sorted.

    With a pretrained encoder it is sorted only for a strategy that asks for it, once the pretext task is learned."""
    uncertainty: NDArray[np.floating]
    """(m,) high if the model is uncertain; NaN without a prediction."""
    random_key: NDArray[np.floating]
    """(m,) a random number in [0, 1) per image, stable across runs."""
    open: NDArray[np.bool_]
    """(m,) True for images that can still be labelled: a query is taken from these."""
    query_size: int
    """Number of images per query."""
    round: int
    """The current round, counted from 0."""
    seed: int
    """For random choices."""
    source: Source
    """Computes the properties below; not for strategies."""

    def __len__(self) -> int:
        return len(self.rank)

    def __getitem__(self, positions: Positions) -> Candidates:
        """The candidates at these positions: expensive data is then computed only for them."""
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
        """(m, D); rows that are not computed yet are NaN."""
        return self.source.embeddings(self.pool_positions)

    @cached_property
    def known(self) -> Positions:
        """(k,) the positions whose embeddings have been computed."""
        return np.flatnonzero(np.isfinite(self.embeddings).all(axis=1))

    @cached_property
    def gradients(self) -> NDArray[np.floating] | None:
        """(m, outputs) the gradient of the loss with respect to the logits, if the predicted label were correct.

        Rows whose embeddings are not computed yet are NaN. None before the first label.
        """
        return self.source.gradients(self.pool_positions)

    @cached_property
    def labelled_embeddings(self) -> NDArray[np.floating]:
        """(l, D) the embeddings of all labelled images in the pool."""
        return self.source.labelled_embeddings()

    @cached_property
    def out_of_fold_errors(self) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        """(l,) the batch of each labelled image in the pool, and (l,) its cross-validated error, 0 to 1."""
        return self.source.out_of_fold_errors()

    @cached_property
    def predicted(self) -> NDArray[np.integer] | None:
        """(m, values) the classes that the model predicts, of all questions side by side.

        Of a multiple choice, 0 or 1 for each class. Rows whose embeddings are not computed yet are -1. None before the
        first label, and if only pixels are predicted.
        """
        return self.source.predicted(self.pool_positions)

    def predict(self, embeddings: NDArray[np.floating]) -> NDArray[np.integer] | None:
        """(k, values) what `predicted` would be of images with these embeddings (k, D)."""
        return self.source.predict(embeddings)

    def most_uncertain_first(self) -> Positions:
        """All open images, most uncertain first; those without a prediction last, by rank."""
        uncertainty = np.nan_to_num(self.uncertainty, nan=-np.inf)
        ordered = np.lexsort((self.rank, -uncertainty))
        return ordered[self.open[ordered]]

    def serving_order(self, query: Positions) -> Positions:
        """All open images: first `query`, then the others, most uncertain first.

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
"""(candidates, number n of wanted images) -> positions of open images in serving order.

Usually n, but fewer if the strategy cannot distinguish more, or more. All other open images follow, most uncertain
first.
"""


def random_key(tasks: NDArray[np.integer], *, seed: int) -> NDArray[np.float64]:
    """A random number in [0, 1) for each task id (n,), independent of the other tasks."""
    mixed = np.asarray(tasks, dtype=np.uint64) + np.uint64(seed * 0x9E3779B97F4A7C15 % 2**64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # SplitMix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return (mixed ^ (mixed >> np.uint64(31))).astype(np.float64) / 2.0**64
