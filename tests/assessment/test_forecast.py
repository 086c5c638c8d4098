"""Forecasts of learning curves that PALM made, and of some that are no curves."""

from __future__ import annotations

import numpy as np
import pytest

from pt4al_backend.assessment.forecast import Curve, fit

LABELS = np.arange(20, 201, 20)


def palm(labels: np.ndarray, *, top: float = 0.9, efficiency: float = 0.8) -> np.ndarray:
    """The accuracy with so many labels, as the paper has it."""
    return np.asarray(top * (1 - (1 - efficiency) ** ((labels / 100 + 0.05) ** 0.5)))


def test_a_curve_goes_on_as_it_was_made() -> None:
    forecast = fit(Curve(LABELS, palm(LABELS), 2000))
    assert forecast is not None
    found = forecast.accuracy_at(400)
    assert found.low < palm(np.array([400.0]))[0] < found.high
    assert found.low <= found.estimate <= found.high


def test_labels_for_an_accuracy_that_is_ahead_reached_or_never_reached() -> None:
    forecast = fit(Curve(LABELS, palm(LABELS), 2000))
    assert forecast is not None
    ahead = forecast.labels_for(float(palm(np.array([300.0]))[0]))
    assert ahead is not None and ahead.estimate is not None
    assert ahead.low <= ahead.estimate and 200 < ahead.estimate < 600
    reached = forecast.labels_for(0.2)
    assert reached is not None and reached.estimate is not None and reached.estimate <= 200
    assert forecast.labels_for(0.999) is None


def test_the_same_curve_has_the_same_forecast() -> None:
    first, second = (fit(Curve.of_answers(LABELS, palm(LABELS), np.full(10, 100), 2000)) for _ in range(2))
    assert first is not None and second is not None
    assert first.accuracy_at(500) == second.accuracy_at(500)


def test_fewer_answers_say_less() -> None:
    widths = []
    for answers in (20, 2000):
        forecast = fit(Curve.of_answers(LABELS, palm(LABELS), np.full(10, answers), 2000))
        assert forecast is not None
        widths.append(forecast.accuracy_at(400).high - forecast.accuracy_at(400).low)
    assert widths[0] > widths[1]


def test_a_flat_curve_has_levelled_off_and_a_steep_one_has_not() -> None:
    flat, steep = fit(Curve(LABELS, np.full(10, 0.9), 400)), fit(Curve(LABELS, palm(LABELS), 4000))
    assert flat is not None and steep is not None
    assert flat.has_levelled_off(20) and not steep.has_levelled_off(20)


def test_three_points_are_too_few() -> None:
    assert fit(Curve(LABELS[:3], palm(LABELS[:3]), 100)) is None
    assert fit(Curve(np.array([10, 10, 20, 20]), np.full(4, 0.5), 100)) is None


@pytest.mark.parametrize("accuracy", [[0.1, 0.2], [0.1, 0.2, 90.0], [0.1, np.nan, 0.2], [0.1, -0.1, 0.2]])
def test_what_is_no_curve_is_refused(accuracy: list[float]) -> None:
    with pytest.raises(ValueError, match=r"learning curve|share"):
        Curve(np.array([10, 20, 30]), np.array(accuracy), 100)


@pytest.mark.parametrize("values", [np.zeros(6), np.ones(6), np.array([0.9, 0.1, 0.9, 0.1, 0.9, 0.1])])
def test_odd_curves_have_intervals_too(values: np.ndarray) -> None:
    forecast = fit(Curve.of_answers(np.arange(10, 70, 10), values, np.full(6, 20), 500))
    assert forecast is not None
    found = forecast.accuracy_at(500)
    assert 0 <= found.low <= found.estimate <= found.high <= 1


def test_points_of_chosen_images_say_less_until_random_ones_join_them() -> None:
    biased = np.full(10, True)
    at_random, chosen, both = (
        fit(Curve.of_answers(LABELS, palm(LABELS), np.full(10, 400), 2000, which))
        for which in (None, biased, np.arange(10) < 5)
    )
    assert at_random is not None and chosen is not None and both is not None
    widths = [each.accuracy_at(400).high - each.accuracy_at(400).low for each in (at_random, both, chosen)]
    assert widths[2] > max(widths[:2])
    assert chosen.accuracy_at(400).estimate > at_random.accuracy_at(400).estimate


def test_an_accuracy_far_from_the_prior_is_found() -> None:
    forecast = fit(Curve.of_answers(LABELS, np.linspace(0.02, 0.06, 10), np.full(10, 5000), 2000))
    assert forecast is not None
    found = forecast.accuracy_at(220)
    assert 0.03 < found.low <= found.high < 0.12
