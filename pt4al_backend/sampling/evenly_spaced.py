"""PT4AL's first query: evenly spaced images of the batch sorted by pretext loss (section 3.3)."""

from __future__ import annotations

import numpy as np

from pt4al_backend.sampling.candidates import Candidates, Positions


def query(candidates: Candidates, n: int) -> Positions:
    """Evenly spaced by rank. `query_size` determines the spacing, not `n`, so that labels do not move other images."""
    by_rank = np.argsort(candidates.rank, kind="stable")
    spaced = by_rank[at_even_distances(len(by_rank), candidates.query_size)]
    return spaced[candidates.open[spaced]]


def at_even_distances(n: int, k: int) -> Positions:
    """All `n` positions, starting with `k` evenly spaced ones."""
    first = np.arange(k) * n // max(k, 1) if k < n else np.arange(n)
    return np.concatenate([first, np.setdiff1d(np.arange(n), first)]).astype(np.int64)
