"""Random sampling: the baseline of all comparisons."""

from __future__ import annotations

import numpy as np

from pt4al_backend.sampling.candidates import Candidates, Positions


def query(candidates: Candidates, n: int) -> Positions:
    """In random order; labels do not change the order of the other images."""
    ordered = np.argsort(candidates.random_key, kind="stable")
    return ordered[candidates.open[ordered]]
