"""A query strategy, as the table of strategies and the loop know it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pt4al_backend.sampling.candidates import Query


@dataclass(frozen=True)
class Strategy:
    """How queries are chosen."""

    query: Query
    first: Query | None = None
    """What chooses in round 0 instead."""
    batches: bool = False
    """Whether each round has a batch of its own, sorted by pretext loss; else every round has the whole pool."""
    uncertainty: str = ""
    """The measure of uncertainty, where the strategy is named for it; else the setting's."""
    at_once: bool = False
    """A query is chosen as a whole: what is left of it stays while its images are labelled."""
    needs_embeddings: bool = False
    """The first query too waits until they are computed."""
    library: str = ""
    """An optional module that it needs."""

    def query_of(self, round: int) -> Query:
        """What chooses in this round."""
        return self.query if round or self.first is None else self.first


Variants = Callable[[str, bool], Strategy]
"""The setting `diversity`, and whether pixels are told apart -> the strategy that fits."""
