"""Random sampling: what every other strategy is compared with."""

from __future__ import annotations

import numpy as np

from pt4al_backend.sampling.candidates import Candidates, Positions


def query(candidates: Candidates, n: int) -> Positions:
    """At random; an image keeps its place whatever else is labelled."""
    ordered = np.argsort(candidates.random_key, kind="stable")
    return ordered[candidates.open[ordered]]
