"""PT4AL's first query: images at even distances through the pool sorted by pretext loss (section 3.3)."""

from __future__ import annotations

import numpy as np

from pt4al_backend.sampling.candidates import Candidates, Positions


def query(candidates: Candidates, n: int) -> Positions:
    """At even distances through the ranks. A label does not move the others: `query_size` counts, not `n`."""
    by_rank = np.argsort(candidates.rank, kind="stable")
    spread = by_rank[at_even_distances(len(by_rank), candidates.query_size)]
    return spread[candidates.open[spread]]


def at_even_distances(n: int, k: int) -> Positions:
    """`n` positions, the first `k` of them at even distances."""
    first = np.arange(k) * n // max(k, 1) if k < n else np.arange(n)
    return np.concatenate([first, np.setdiff1d(np.arange(n), first)]).astype(np.int64)
