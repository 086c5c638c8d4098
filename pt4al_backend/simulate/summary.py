"""The summary in `results.json`: figures of each strategy over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.simulate.budget_curve import (
    BALANCED,
    NAMES,
    aubc,
    curve,
    has_figure,
    labels_for,
    metric,
    runs_of,
    strategies_of,
)
from pt4al_backend.simulate.comparison import BASELINE, compare
from pt4al_backend.simulate.run_file import Run

PREFIXES = {BALANCED: "balanced_"} | {f"network_{name}": "network_" for name in NAMES}
"""Other figures of a round than the metric, with what their fields begin with."""


def summary(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Each strategy's area under the curve and last value, in per cent: mean and standard deviation over the seeds.

    `labels_for_random` is how many labels reach the last value of `random`, on the mean curves; it is missing if
    that is never reached. With two seeds or more there is `compared_with_random`, see `Comparison.fields`.
    """
    rows: dict[str, dict[str, Any]] = {}
    strategies = strategies_of(runs)
    for strategy in strategies:
        labels, values = curve(runs, strategy)
        rows[strategy] = {"n": len(values), **_areas(runs, strategy, "", None)}
        for figure, prefix in PREFIXES.items():
            if has_figure(runs_of(runs, strategy), figure):
                rows[strategy] |= _areas(runs, strategy, prefix, figure)
        if BASELINE in strategies:
            goal = curve(runs, BASELINE)[1].mean(axis=0)[-1]
            needed = labels_for(labels, values.mean(axis=0), goal)
            rows[strategy] |= {} if needed is None else {"labels_for_random": round(needed)}
            rows[strategy] |= _compared(runs, strategy)
    return rows


def _areas(runs: Sequence[Run], strategy: str, prefix: str, figure: str | None) -> dict[str, float]:
    labels, values = curve(runs, strategy, figure)
    areas = [aubc(labels, row) for row in values]
    return {**_spread(f"{prefix}aubc", areas), **_spread(f"{prefix}final", values[:, -1])}


def _compared(runs: Sequence[Run], strategy: str) -> dict[str, Any]:
    """The comparison with `random` for the metric and, if there is one, the balanced accuracy."""
    both = [*runs_of(runs, strategy), *runs_of(runs, BASELINE)]
    figures = [metric(both[0]), *([BALANCED] if has_figure(both, BALANCED) else [])]
    compared = {figure: compare(runs, strategy, figure) for figure in figures}
    found = {figure: each.fields() for figure, each in compared.items() if each}
    return {"compared_with_random": found} if found else {}


def _spread(name: str, values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    """Mean and standard deviation (of a sample; 0 for a single value)."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {name: float(np.mean(values)), f"{name}_sd": spread}
