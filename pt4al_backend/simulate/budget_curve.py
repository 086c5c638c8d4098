"""Budget curves: a figure of every round over the labels given so far, of all runs of a strategy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.label_types import LABEL_TYPES
from pt4al_backend.simulate.run_file import Run

NAMES = {each.metric: each.metric_title for each in LABEL_TYPES.values() if each.metric}
"""Titles of the metrics that a curve may show."""
BALANCED = "balanced_accuracy"
TITLES = NAMES | {BALANCED: "balanced accuracy"}
"""Titles of all figures that people see."""


def strategies_of(runs: Sequence[Run]) -> list[str]:
    """The strategies, in the order of their first runs."""
    return list(dict.fromkeys(run["strategy"] for run in runs))


def runs_of(runs: Sequence[Run], strategy: str) -> list[Run]:
    """The runs of a strategy, sorted by seed."""
    return sorted((run for run in runs if run["strategy"] == strategy), key=lambda run: run["seed"])


def metric(run: Run) -> str:
    """The name of the metric that a run's curve shows."""
    return next(name for name in NAMES if name in run["rounds"][0])


def has_figure(runs: Sequence[Run], figure: str) -> bool:
    """Whether every round of these runs has the figure."""
    return all(figure in entry for run in runs for entry in run["rounds"])


def curve(
    runs: Sequence[Run], strategy: str, figure: str | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels (rounds,) and a figure in per cent (runs, rounds) of a strategy, sorted by seed.

    With unreadable images, a run may be shorter than others or have fewer labels. The curve then ends with the
    shortest run, and its labels are the mean over all runs.

    Args:
        runs: Of this and possibly other strategies.
        strategy: Its name.
        figure: A figure that every round has; None for the runs' metric.
    """
    own_runs = runs_of(runs, strategy)
    length = min(len(run["rounds"]) for run in own_runs)
    rounds = [run["rounds"][:length] for run in own_runs]
    name = figure or metric(own_runs[0])
    labels = np.mean([[float(entry["labels"]) for entry in entries] for entries in rounds], axis=0)
    return labels, np.array([[100 * entry[name] for entry in entries] for entries in rounds])


def is_same_with_every_seed(runs: Sequence[Run], strategy: str) -> bool:
    """Whether two seeds or more gave a strategy the same curve, as they do if nothing in it is left to chance."""
    _, values = curve(runs, strategy)
    return len(values) > 1 and bool((values == values[0]).all())


def aubc(labels: Sequence[float] | NDArray[np.float64], values: Sequence[float] | NDArray[np.float64]) -> float:
    """Area under the budget curve: the mean of the curve over the label axis, by trapezoids."""
    if len(labels) == 1:
        return float(values[0])
    heights = (np.asarray(values)[1:] + np.asarray(values)[:-1]) / 2
    return float(heights @ np.diff(labels) / (labels[-1] - labels[0]))


def labels_for(labels: NDArray[np.float64], values: NDArray[np.float64], goal: float) -> float | None:
    """The labels at which a curve first reaches `goal`, with linear interpolation; None if it never does."""
    reached = np.flatnonzero(values >= goal)
    if not len(reached):
        return None
    k = int(reached[0])
    if k == 0:
        return float(labels[0])
    share = (goal - values[k - 1]) / (values[k] - values[k - 1])
    return float(labels[k - 1] + share * (labels[k] - labels[k - 1]))
