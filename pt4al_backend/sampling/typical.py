"""The first query of a classification: typical and diverse images.

They suit a cold start: "Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets" (Hacohen, Dekel,
Weinshall, ICML 2022). This is `coverage` with equal uncertainties.
"""

from __future__ import annotations

import numpy as np

from pt4al_backend.sampling.candidates import Candidates, Positions
from pt4al_backend.sampling.coverage import cover


def query(candidates: Candidates, n: int) -> Positions:
    """Typical images that differ from one another and from labelled ones."""
    return cover(candidates, np.ones(len(candidates)), n)
