"""How long it takes from a label to the order that knows it: a histogram per project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BOUNDS = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, float("inf"))
"""Upper bounds of the buckets, in seconds."""


def with_one_more(body: dict[str, Any] | None, seconds: float) -> dict[str, Any]:
    """The histogram as it is stored, with another value."""
    counts: Sequence[int] = body["counts"] if body else [0] * len(BOUNDS)
    grown = [count + (seconds <= bound) for count, bound in zip(counts, BOUNDS, strict=True)]
    return {"counts": grown, "sum": (body["sum"] if body else 0.0) + seconds}


def as_json(body: dict[str, Any] | None) -> dict[str, Any] | None:
    """`buckets`, each with its bound and how many took no longer, `sum`, and `median_below`, a bound; in seconds."""
    if not body:
        return None
    bounds = ["+Inf" if bound == BOUNDS[-1] else f"{bound:g}" for bound in BOUNDS]
    total = body["counts"][-1]
    median = next(bound for bound, count in zip(bounds, body["counts"], strict=True) if 2 * count >= total)
    return {"buckets": list(zip(bounds, body["counts"], strict=True)), "sum": body["sum"], "median_below": median}
