from __future__ import annotations

import numpy as np
import pytest
from support.simulated_runs import simulated_run as run

from pt4al_backend.simulate.budget_curve import aubc, curve, has_figure, labels_for, metric, runs_of, strategies_of


@pytest.mark.parametrize(
    ("labels", "values", "area"),
    [
        ([10], [42.0], 42.0),
        ([10, 20], [40.0, 60.0], 50.0),
        ([10, 20, 30], [0.0, 100.0, 100.0], 75.0),  # (50 + 100) / 2
        ([10, 20, 60], [0.0, 50.0, 100.0], 65.0),  # (10 * 25 + 40 * 75) / 50
    ],
)
def test_the_area_under_the_budget_curve_by_hand(labels: list[float], values: list[float], area: float) -> None:
    assert aubc(labels, values) == pytest.approx(area)


@pytest.mark.parametrize(
    ("values", "goal", "labels"),
    [
        ([50, 60, 80], 70, 25.0),  # half way from 20 to 30
        ([50, 60, 80], 60, 20.0),
        ([50, 60, 80], 80, 30.0),
        ([50, 60, 80], 30, 10.0),  # at the first measurement, or before it
        ([50, 60, 80], 81, None),
        ([50, 70, 60], 65, 17.5),  # the first time counts
    ],
)
def test_labels_for_a_goal_by_hand(values: list[float], goal: float, labels: float | None) -> None:
    assert labels_for(np.array([10.0, 20.0, 30.0]), np.array(values, dtype=float), goal) == labels


def test_the_curves_of_a_strategy_are_sorted_by_seed() -> None:
    runs = [run("pt4al", 1, 0.5, 0.7, 0.9), run("random", 0, 0.1), run("pt4al", 0, 0.3, 0.7, 0.7, balanced=0.25)]
    assert strategies_of(runs) == ["pt4al", "random"]
    assert [each["seed"] for each in runs_of(runs, "pt4al")] == [0, 1]
    labels, values = curve(runs, "pt4al")
    assert labels.tolist() == [10, 20, 30]
    np.testing.assert_allclose(values, [[30, 70, 70], [50, 70, 90]])
    np.testing.assert_allclose(curve(runs, "pt4al", "balanced_accuracy")[1], [[25, 25, 25], [50, 50, 50]])


def test_runs_may_differ_in_length_and_labels() -> None:
    short, lacking = run("random", 1, 0.4, 0.6), run("random", 2, 0.5, 0.7, 0.9)
    lacking["rounds"][1]["labels"] = 17
    labels, values = curve([run("random", 0, 0.2, 0.4, 0.6), short, lacking], "random")
    assert labels.tolist() == [10, 19]
    np.testing.assert_allclose(values, [[20, 40], [40, 60], [50, 70]])


def test_figures_are_found() -> None:
    one, other = run("pt4al", 0, 0.5, 0.6), run("pt4al", 1, 0.5, 0.6)
    assert metric(one) == "accuracy"
    assert metric({"rounds": [{"labels": 3, "mean_iou": 0.5}]}) == "mean_iou"
    assert has_figure([one, other], "balanced_accuracy")
    del other["rounds"][1]["balanced_accuracy"]
    assert not has_figure([one, other], "balanced_accuracy")
