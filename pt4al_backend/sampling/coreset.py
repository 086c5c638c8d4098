"""Core-Set: greedy k-centre on the embeddings (Sener & Savarese, ICLR 2018, algorithm 1). By scikit-activeml."""

from __future__ import annotations

from pt4al_backend.sampling.candidates import Candidates, Positions
from pt4al_backend.sampling.scikit_activeml import choose


def query(candidates: Candidates, n: int) -> Positions:
    """The image farthest from all that is labelled or picked, again and again."""
    from skactiveml.pool import CoreSet

    return choose(CoreSet(missing_label=-1, random_state=candidates.seed), candidates, n)
