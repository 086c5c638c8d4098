"""Uncertainty sampling: the most uncertain images (Lewis & Gale, SIGIR 1994; within a batch, PT4AL, section 3.3).

The measures are in `uncertainty.py`.
"""

from __future__ import annotations

from pt4al_backend.sampling.candidates import Candidates, Positions


def query(candidates: Candidates, n: int) -> Positions:
    """Most uncertain first; images without a prediction last, by rank."""
    return candidates.most_uncertain_first()
