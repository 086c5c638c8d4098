"""Comparisons with random, by hand, and how often their intervals are right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from support.simulated_runs import simulated_run as run

from pt4al_backend.simulate.comparison import compare
from pt4al_backend.simulate.run_file import Run


def runs(strategy: str, *curves: tuple[float, ...]) -> list[Run]:
    return [run(strategy, seed, *curve) for seed, curve in enumerate(curves)]


def test_a_comparison_by_hand() -> None:
    everything = [
        *runs("random", (0.2, 0.4, 0.6), (0.3, 0.5, 0.7), (0.1, 0.3, 0.5)),  # areas 40, 50, 30
        *runs("pt4al", (0.3, 0.6, 0.7), (0.2, 0.5, 0.8), (0.3, 0.5, 0.6)),  # areas 55, 50, 47.5
    ]
    found = compare(everything, "pt4al")
    assert found is not None
    differences = [15, 0, 17.5]
    assert found.seeds == 3 and found.budget == 30
    assert found.difference.value == pytest.approx(np.mean(differences))
    assert found.error == pytest.approx(np.std(differences, ddof=1) / 3**0.5)
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (found.difference.low, found.difference.high) == pytest.approx((interval.low, interval.high))
    assert found.may_be_chance
    assert found.won == pytest.approx(2.5 / 3)  # a draw counts half
    # on average random ends at 60 and pt4al has 53.3 with 20 labels, 70 with 30
    assert found.needed.value == pytest.approx(24)
    assert found.saved.value == pytest.approx(6)
    # above random's end with 10, 20 and 30 labels: -33.3 +- 37.9, -6.7 +- 28.7, 10 +- 0
    assert (found.needed.low, found.needed.high) == pytest.approx((10, 27.80), abs=0.01)
    assert (found.saved.low, found.saved.high) == pytest.approx((2.20, 20), abs=0.01)
    assert compare(everything, "pt4al") == found  # no chance in it


def test_only_seeds_in_common_count() -> None:
    everything = [
        *runs("random", (0.2, 0.4), (0.3, 0.5), (0.9, 0.9)),
        *runs("pt4al", (0.3, 0.5), (0.4, 0.6)),
        run("pt4al", 7, 0.1, 0.1),
    ]
    found = compare(everything, "pt4al")
    assert found is not None
    assert found.seeds == 2 and found.won == 1
    assert found.difference.value == pytest.approx(10) and found.error == pytest.approx(0, abs=1e-9)
    assert not found.may_be_chance


def test_one_seed_is_no_comparison() -> None:
    assert compare([*runs("random", (0.2, 0.4)), *runs("pt4al", (0.3, 0.6))], "pt4al") is None
    assert compare(runs("pt4al", (0.3, 0.6), (0.3, 0.6)), "pt4al") is None
    assert compare(runs("random", (0.3, 0.6), (0.3, 0.6)), "random") is None


def test_equal_runs_may_be_chance() -> None:
    curves = ((0.2, 0.4), (0.3, 0.5))
    found = compare([*runs("random", *curves), *runs("pt4al", *curves)], "pt4al")
    assert found is not None
    assert found.may_be_chance and found.won == 0.5
    assert found.fields()["labels_saved"] == 0


def test_what_is_never_reached_is_not_a_number_of_labels() -> None:
    never = [*runs("random", (0.2, 0.5), (0.3, 0.6)), *runs("margin", (0.1, 0.2), (0.2, 0.3))]
    found = compare(never, "margin")
    assert found is not None
    fields = found.fields()
    assert (fields["labels"], fields["labels_saved"]) == (None, None)
    assert (fields["labels_95"], fields["labels_saved_95"]) == ([None, None], [None, None])

    sometimes = [*runs("random", (0.2, 0.5), (0.2, 0.5)), *runs("margin", (0.1, 0.9), (0.1, 0.3))]
    found = compare(sometimes, "margin")
    assert found is not None
    assert found.fields()["labels"] == 18  # 60 on average, and 50 is reached at 18
    low, high = found.fields()["labels_95"]
    assert 10 < low < 18 and high is None
    assert found.fields()["labels_saved_95"] == [None, 20 - low]


def test_a_curve_that_falls_at_its_end_does_not_count_as_saving() -> None:
    """Random reaches its last value before its end, and so does the same curve under another name."""
    curves = ((0.2, 0.7, 0.6), (0.2, 0.7, 0.6))
    found = compare([*runs("random", *curves), *runs("twin", *curves)], "twin")
    assert found is not None
    assert found.needed.value == pytest.approx(18) and found.saved.value == 0


def test_other_figures_can_be_compared() -> None:
    everything = [
        run(name, seed, 0.5, 0.6, balanced=share)
        for name, share in (("random", 0.3), ("pt4al", 0.4))
        for seed in (0, 1)
    ]
    found = compare(everything, "pt4al", "balanced_accuracy")
    assert found is not None and found.difference.value == pytest.approx(10)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_are_right_about_as_often_as_they_say(seeds: int) -> None:
    """Straight curves with noise; in truth the areas differ by 20, 20 labels are needed and 10 are saved."""
    draw = np.random.default_rng(0)
    right = []
    for _ in range(200):
        noise = draw.normal(0, 0.02, (seeds, 1)) + draw.normal(0, 0.02, (2, seeds, 3))  # partly shared by a seed
        everything = [
            run(name, seed, *(np.array([0.2, 0.4, 0.6]) + gain + noise[k, seed]))
            for k, (name, gain) in enumerate((("random", 0.0), ("pt4al", 0.2)))
            for seed in range(seeds)
        ]
        found = compare(everything, "pt4al")
        assert found is not None
        truths = ((found.difference, 20), (found.needed, 20), (found.saved, 10))
        right.append([estimate.low <= truth <= estimate.high for estimate, truth in truths])
    assert np.mean(right, axis=0).min() > 0.9
