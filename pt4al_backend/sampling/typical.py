"""The first query where images are classified: the most typical ones that are unlike one another.

As a cold start wants it: "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets" (Hacohen,
Dekel, Weinshall, ICML 2022). It is `coverage` with all images equally uncertain.
"""

from __future__ import annotations

import numpy as np

from pt4al_backend.sampling.candidates import Candidates, Positions
from pt4al_backend.sampling.coverage import cover


def query(candidates: Candidates, n: int) -> Positions:
    """Typical images that are unlike one another and unlike what is labelled."""
    return cover(candidates, np.ones(len(candidates)), n)
