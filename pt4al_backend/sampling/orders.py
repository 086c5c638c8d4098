"""The orders in which batches are cut from the sorted pool, by name."""

from __future__ import annotations

from typing import Literal

Order = Literal["hard_first", "easy_first", "round_robin", "shuffled"]

OLDER_NAMES: dict[str, Order] = {"dealt": "round_robin", "bandit": "hard_first"}
"""What orders were called in 0.1.0; `bandit`, a strategy now, cut as `hard_first` does."""


def current_name(order: str) -> Order:
    """Today's name of an order that a data directory or a setting may know by an older one."""
    return OLDER_NAMES.get(order, order)  # type: ignore[arg-type]  # no others are stored or accepted
