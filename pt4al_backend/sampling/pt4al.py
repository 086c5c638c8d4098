"""PT4AL: each round queries one batch of the pool sorted by pretext loss (Yi, Seo, Park, Choi, ECCV 2022, section 3.3).

As published, a query takes the most uncertain images of its batch (`diversity=off`); the other variants avoid similar
images.
"""

from __future__ import annotations

from pt4al_backend.sampling import badge, coverage, evenly_spaced, typical, uncertainty_sampling
from pt4al_backend.sampling.candidates import Query
from pt4al_backend.sampling.strategy import Strategy

WITHIN_A_BATCH: dict[str, Query] = {
    "off": uncertainty_sampling.query,
    "coverage": coverage.query,
    "gradients": badge.query,
}
"""Value of the setting `diversity` -> strategy within a batch."""


def variant(diversity: str, dense: bool) -> Strategy:
    """PT4AL with this `diversity`.

    `dense` is True for pixel-level labels. There typical images make no better first query than the paper's, which
    needs no embeddings and so is ready sooner (`benchmarks/decisions/first_queries.py`).
    """
    starts_typical = diversity != "off" and not dense
    return Strategy(
        WITHIN_A_BATCH[diversity],
        first=typical.query if starts_typical else evenly_spaced.query,
        batches=True,
        needs_embeddings=starts_typical,
    )
