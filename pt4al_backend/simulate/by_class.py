"""What runs showed about single classes: kept in `results.json` for each run's last round."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pt4al_backend.simulate.budget_curve import BALANCED, has_figure, metric, runs_of
from pt4al_backend.simulate.run_file import Run

FIGURES = {"accuracy": "Accuracy", "iou": "IoU"}
"""Titles of the figures that classes may have."""
IMBALANCED = 1.5
"""Test images are imbalanced if the largest class has this many times the images of the smallest.

Collections of imbalanced data sets begin there, too (KEEL: "imbalance ratio between 1.5 and 9").
"""


def finished(strategy: str, seed: int, rounds: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Run:
    """The run as it is saved: figures of single classes only from the last round, by the names of the classes."""
    last = rounds[-1]
    figures, labels = last.get("by_class", ()), last.get("labels_by_class", ())
    of_classes: dict[str, dict[str, Any]] = {name: {} for name in classes}
    for of_class, found in zip(of_classes.values(), figures, strict=False):
        of_class |= found
    for of_class, count in zip(of_classes.values(), labels, strict=False):
        of_class["labels"] = count
    short = [{name: value for name, value in entry.items() if not name.endswith("by_class")} for entry in rounds]
    return {"strategy": strategy, "seed": seed, "rounds": short, "classes": of_classes}


def is_imbalanced(runs: Sequence[Run]) -> bool:
    """Whether some class has 1.5 times as many test images as another, or more."""
    counts = [found.get("test_images", 0) for found in runs[0].get("classes", {}).values()]
    some = [count for count in counts if count]
    return bool(some) and max(some) >= IMBALANCED * min(some)


def shown_figures(runs: Sequence[Run]) -> list[str]:
    """The metric, and the balanced accuracy beside it if the test images are imbalanced."""
    balanced = is_imbalanced(runs) and has_figure(runs, BALANCED)
    return [metric(runs[0]), *([BALANCED] if balanced else [])]


def figure_of(runs: Sequence[Run]) -> str | None:
    """The figure that the classes of all runs have; None if a run is of a release without them."""
    for name in FIGURES:
        if all(any(name in found for found in run.get("classes", {}).values()) for run in runs):
            return name
    return None


def mean_over_seeds(runs: Sequence[Run], strategy: str, field: str) -> dict[str, float]:
    """A field of each class that has it, over the strategy's runs."""
    values: dict[str, list[float]] = {}
    for run in runs_of(runs, strategy):
        for name, found in run.get("classes", {}).items():
            if field in found:
                values.setdefault(name, []).append(found[field])
    return {name: float(np.mean(each)) for name, each in values.items()}
