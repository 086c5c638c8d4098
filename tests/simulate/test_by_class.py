from __future__ import annotations

from typing import Any

import pytest
from support.simulated_runs import simulated_run as run

from pt4al_backend.simulate.by_class import figure_of, finished, is_imbalanced, mean_over_seeds, shown_figures
from pt4al_backend.simulate.run_file import Run


def test_only_the_last_round_says_something_about_classes() -> None:
    rounds: list[dict[str, Any]] = [
        {
            "labels": 2,
            "accuracy": 0.5,
            "by_class": [{"test_images": 1, "accuracy": 0.5}] * 2,
            "labels_by_class": [2, 0],
        },
        {
            "labels": 4,
            "accuracy": 1.0,
            "by_class": [{"test_images": 3, "accuracy": 1.0}, {"test_images": 0}],
            "labels_by_class": [3, 1],
        },
    ]
    assert finished("pt4al", 2, rounds, ("cat", "dog")) == {
        "strategy": "pt4al",
        "seed": 2,
        "rounds": [{"labels": 2, "accuracy": 0.5}, {"labels": 4, "accuracy": 1.0}],
        "classes": {
            "cat": {"test_images": 3, "accuracy": 1.0, "labels": 3},
            "dog": {"test_images": 0, "labels": 1},
        },
    }


def test_classes_of_masks_have_no_number_of_labels() -> None:
    rounds = [{"labels": 2, "mean_iou": 0.5, "by_class": [{"test_pixels": 9, "iou": 0.5}]}]
    assert finished("pt4al", 0, rounds, ("sky",))["classes"] == {"sky": {"test_pixels": 9, "iou": 0.5}}


def with_tests(*counts: int) -> list[Run]:
    return [run("pt4al", 0, 0.5, classes={str(k): {"test_images": count} for k, count in enumerate(counts)})]


@pytest.mark.parametrize(
    ("counts", "imbalanced"),
    [((10, 10), False), ((14, 10), False), ((15, 10), True), ((10, 0, 10), False), ((), False)],
)
def test_imbalanced_is_half_as_many_again(counts: tuple[int, ...], imbalanced: bool) -> None:
    assert is_imbalanced(with_tests(*counts)) == imbalanced
    assert shown_figures(with_tests(*counts)) == ["accuracy", *(["balanced_accuracy"] if imbalanced else [])]


def test_runs_of_a_release_without_classes_have_none() -> None:
    old, new = run("pt4al", 0, 0.5), run("pt4al", 1, 0.5, classes={"cat": {"test_images": 1, "accuracy": 0.5}})
    assert not is_imbalanced([old])
    assert figure_of([old]) is None and figure_of([old, new]) is None
    assert figure_of([new]) == "accuracy"
    assert figure_of([run("pt4al", 0, 0.5, classes={"sky": {"iou": 0.5}})]) == "iou"


def test_means_over_seeds_leave_out_what_is_not_there() -> None:
    runs = [
        run("pt4al", 0, 0.5, classes={"cat": {"accuracy": 0.5, "labels": 3}, "dog": {}}),
        run("pt4al", 1, 0.5, classes={"cat": {"accuracy": 1.0, "labels": 4}, "dog": {"labels": 1}}),
        run("random", 0, 0.5, classes={"cat": {"accuracy": 0.0}}),
    ]
    assert mean_over_seeds(runs, "pt4al", "accuracy") == {"cat": 0.75}
    assert mean_over_seeds(runs, "pt4al", "labels") == {"cat": 3.5, "dog": 1.0}
