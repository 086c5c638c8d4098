"""The description of a query strategy that the table of strategies and the loop use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pt4al_backend.sampling.candidates import Query


@dataclass(frozen=True)
class Strategy:
    """A query strategy."""

    query: Query
    """Chooses the images."""
    first: Query | None = None
    """Chooses the images of round 0; None: `query` does."""
    batches: bool = False
    """Whether each round queries one batch of the pool sorted by pretext loss, instead of the whole pool."""
    ranks: bool = False
    """Whether its choice depends on pretext losses, by `Candidates.rank` or `batch`, although it is not `batches`."""
    uncertainty: str = ""
    """The uncertainty measure that the strategy is named after; "": the one that the settings choose."""
    at_once: bool = False
    """Whether a query is chosen as a whole and stays the same while people label its images."""
    needs_embeddings: bool = False
    """Whether even the first query has to wait for the embeddings."""
    library: str = ""
    """An optional module that the strategy imports."""

    @property
    def pretext(self) -> bool:
        """Whether it needs the pretext task."""
        return self.batches or self.ranks

    def query_of(self, round: int) -> Query:
        """The function that chooses in this round."""
        return self.query if round or self.first is None else self.first


Variants = Callable[[str, bool], Strategy]
"""(setting `diversity`, whether labels are at pixel level) -> the strategy to use."""
