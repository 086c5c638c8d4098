"""PT4AL: each round queries one batch of the pool sorted by pretext loss (Yi, Seo, Park, Choi, ECCV 2022, section 3.3).

As published a query is the most uncertain of its batch (`diversity=off`); the other variants avoid images like one
another.
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
"""By the setting `diversity`."""


def variant(diversity: str, dense: bool) -> Strategy:
    """PT4AL with this `diversity`.

    `dense`: pixels are told apart. There typical images are no better a start than the paper's, which is there
    sooner (`benchmarks/decisions/first_queries.py`).
    """
    starts_typical = diversity != "off" and not dense
    return Strategy(
        WITHIN_A_BATCH[diversity],
        first=typical.query if starts_typical else evenly_spaced.query,
        batches=True,
        needs_embeddings=starts_typical,
    )
