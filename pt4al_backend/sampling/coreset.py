"""Core-Set: greedy k-centre on the embeddings (Sener & Savarese, ICLR 2018, algorithm 1), from scikit-activeml."""

from __future__ import annotations

from pt4al_backend.sampling.candidates import Candidates, Positions
from pt4al_backend.sampling.scikit_activeml import choose


def query(candidates: Candidates, n: int) -> Positions:
    """Repeatedly pick the image farthest from all labelled and picked ones."""
    from skactiveml.pool import CoreSet

    return choose(CoreSet(missing_label=-1, random_state=candidates.seed), candidates, n)
