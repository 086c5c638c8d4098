from __future__ import annotations

import pytest
from support.simulated_runs import simulated_run as run

from pt4al_backend.simulate.comparison import compare
from pt4al_backend.simulate.summary import summary


def test_a_summary_by_hand() -> None:
    runs = [
        run("random", 0, 0.2, 0.4, 0.6),
        run("pt4al", 1, 0.5, 0.7, 0.9),  # area 70
        run("random", 1, 0.4, 0.6, 0.8),
        run("pt4al", 0, 0.3, 0.7, 0.7, balanced=0.25),  # area 60
    ]
    rows = summary(runs)
    assert list(rows) == ["random", "pt4al"]
    compared = rows["pt4al"].pop("compared_with_random")
    # random ends at 70 on average; pt4al is at 40, 70, 80 on average and so reaches that with 20 labels
    assert rows["pt4al"] == pytest.approx(
        {
            "n": 2,
            "aubc": 65,
            "aubc_sd": 5 * 2**0.5,
            "final": 80,
            "final_sd": 10 * 2**0.5,
            "balanced_aubc": 37.5,
            "balanced_aubc_sd": 12.5 * 2**0.5,
            "balanced_final": 37.5,
            "balanced_final_sd": 12.5 * 2**0.5,
            "network_aubc": 32.5,
            "network_aubc_sd": 2.5 * 2**0.5,
            "network_final": 40,
            "network_final_sd": 5 * 2**0.5,
            "labels_for_random": 20,
        }
    )
    assert rows["random"]["aubc"] == pytest.approx(50)
    assert rows["random"]["labels_for_random"] == 30
    assert "compared_with_random" not in rows["random"]

    assert list(compared) == ["accuracy", "balanced_accuracy"]
    found = compare(runs, "pt4al")
    assert found is not None and compared["accuracy"] == found.fields()
    assert (compared["accuracy"]["seeds"], compared["accuracy"]["share_won"]) == (2, 1.0)
    assert compared["accuracy"]["difference"] == pytest.approx(15)  # 20 and 10
    assert compared["accuracy"]["difference_se"] == pytest.approx(5)
    assert (compared["accuracy"]["labels"], compared["accuracy"]["labels_saved"]) == (20, 10)
    assert compared["balanced_accuracy"]["difference"] == pytest.approx(-12.5)


def test_a_figure_is_rounded_once() -> None:
    rows = summary([run("random", seed, value, value) for seed, value in enumerate((0.49446, 0.49446, 0.49448))])
    assert f"{rows['random']['aubc']:.1f}" == "49.4"  # 49.447; by way of 49.45 it would be 49.5


def test_one_run_has_no_spread_and_an_unreached_goal_is_left_out() -> None:
    rows = summary([run("random", 0, 0.2, 0.9), run("margin", 0, 0.3, 0.8)])
    assert rows["margin"]["aubc_sd"] == rows["margin"]["final_sd"] == 0.0
    assert "labels_for_random" not in rows["margin"]
    assert "compared_with_random" not in rows["margin"]
    assert "labels_for_random" not in summary([run("margin", 0, 0.3, 0.8)])["margin"]


def test_the_last_value_of_runs_that_differ_in_length() -> None:
    runs = [run("random", 0, 0.2, 0.4, 0.6), run("random", 1, 0.4, 0.6), run("random", 2, 0.5, 0.7, 0.9)]
    assert summary(runs)["random"]["final"] == pytest.approx(170 / 3)
