"""Where the model has nothing to say: at random, and at even distances."""

from __future__ import annotations

import numpy as np

from pt4al_backend.sampling.candidates import Candidates, Positions


def evenly_spaced(lane: Candidates, wanted: int) -> Positions:
    """PT4AL's cold start (section 3.3): at even distances through the images sorted by pretext loss."""
    by_rank = np.argsort(lane.rank, kind="stable")
    spread = by_rank[at_even_distances(len(by_rank), lane.query_size)]
    return spread[lane.open[spread]]


def random_sampling(lane: Candidates, wanted: int) -> Positions:
    """At random."""
    ordered = np.argsort(lane.random_key, kind="stable")
    return ordered[lane.open[ordered]]


def at_even_distances(n: int, k: int) -> Positions:
    """`n` positions, the first `k` of them at even distances."""
    first = np.arange(k) * n // max(k, 1) if k < n else np.arange(n)
    return np.concatenate([first, np.setdiff1d(np.arange(n), first)]).astype(np.int64)
