"""Uncertainty sampling: what the model is least sure of (Lewis & Gale, SIGIR 1994). PT4AL, section 3.3, in a batch.

What makes an image uncertain is in `uncertainty.py`.
"""

from __future__ import annotations

from pt4al_backend.sampling.candidates import Candidates, Positions


def query(candidates: Candidates, n: int) -> Positions:
    """Most uncertain first; where the model predicts nothing, afterwards, by rank."""
    return candidates.most_uncertain_first()
