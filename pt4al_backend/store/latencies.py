"""How long it takes from a label to the order that knows it: a histogram per project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

BOUNDS = (0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, float("inf"))
"""Upper bounds of the buckets, in seconds."""


@with_config(ConfigDict(use_attribute_docstrings=True))
class OrderLatency(TypedDict):
    """A histogram of the seconds from a label to the order that knows it."""

    buckets: list[tuple[str, Annotated[int, Field(ge=0)]]]
    """Upper bounds in seconds, the last one `+Inf`, each with how many took no longer."""
    sum: Annotated[float, Field(ge=0)]
    median_below: str
    """The upper bound of the bucket that the median is in."""


def with_one_more(body: dict[str, Any] | None, seconds: float) -> dict[str, Any]:
    """The histogram as it is stored, with another value."""
    counts: Sequence[int] = body["counts"] if body else [0] * len(BOUNDS)
    grown = [count + (seconds <= bound) for count, bound in zip(counts, BOUNDS, strict=True)]
    return {"counts": grown, "sum": (body["sum"] if body else 0.0) + seconds}


def as_json(body: dict[str, Any] | None) -> OrderLatency | None:
    """The histogram for people and programs; None before anything was measured."""
    if not body:
        return None
    bounds = ["+Inf" if bound == BOUNDS[-1] else f"{bound:g}" for bound in BOUNDS]
    total = body["counts"][-1]
    median = next(bound for bound, count in zip(bounds, body["counts"], strict=True) if 2 * count >= total)
    return {"buckets": list(zip(bounds, body["counts"], strict=True)), "sum": body["sum"], "median_below": median}
