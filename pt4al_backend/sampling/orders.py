"""The names of the orders in which batches are cut from the sorted pool."""

from __future__ import annotations

from typing import Literal

Order = Literal["hard_first", "easy_first", "round_robin", "shuffled"]

OLDER_NAMES: dict[str, Order] = {"dealt": "round_robin", "bandit": "hard_first"}
"""Names of orders in 0.1.0 -> current names; `bandit`, now a strategy, cut batches like `hard_first`."""


def current_name(order: str) -> Order:
    """The current name of an order; data directories and settings may contain an older one."""
    return OLDER_NAMES.get(order, order)  # type: ignore[arg-type]  # settings and the store have no other values
