"""Single choice, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from support.answers import answers

from pt4al_backend.active_learning.training_data import answered
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.single import SINGLE, class_numbers, error_of_one

KIND = Question("kind", SINGLE, ("cat", "dog"))


def test_one_class() -> None:
    found = class_numbers(KIND, answers("kind", "dog", None, "cat", "a class that is gone"))
    assert found.tolist() == [1, -1, 0, -1]
    assert found.dtype == np.int64
    assert answered(found).tolist() == [True, False, True, False]


def test_unanswered() -> None:
    assert class_numbers(KIND, []).shape == (0,)


def test_an_error_is_the_probability_minus_the_prediction() -> None:
    assert error_of_one(np.log(np.array([[0.25, 0.75], [0.5, 0.5]]))) == pytest.approx(
        np.array([[0.25, -0.25], [-0.5, 0.5]])
    )


def test_figures_by_hand() -> None:
    """Three of four are correct: one of two cats, both dogs."""
    found = [
        (0, np.array([1.0, 0.0])),
        (0, np.array([0.0, 1.0])),
        (1, np.array([0.0, 2.0])),
        (1, np.array([-1.0, 0.0])),
    ]
    cats, dogs = {"test_images": 2, "accuracy": 0.5}, {"test_images": 2, "accuracy": 1.0}
    assert SINGLE.figures(3, iter(found)) == {
        "accuracy": 0.75,
        "balanced_accuracy": 0.75,
        "by_class": [cats, dogs, {"test_images": 0}],
    }
    fewer = SINGLE.figures(2, found[1:])
    assert (fewer["accuracy"], fewer["balanced_accuracy"]) == (pytest.approx(2 / 3), 0.5)


def test_a_stored_prediction_is_the_number_of_a_class() -> None:
    probability, stored = SINGLE.predicted(np.log(np.array([[0.2, 0.8]])))
    assert probability == pytest.approx([0.8])
    assert [SINGLE.value(KIND, each) for each in stored] == ["dog"]


def test_what_the_model_is_unsure_about() -> None:
    assert SINGLE.doubt(KIND, np.log(np.array([0.4, 0.6]))) == "uncertain between dog (60 %) and cat (40 %)"
    assert SINGLE.doubt(KIND, np.log(np.array([0.95, 0.05]))) == "probably cat (95 %)"
    assert SINGLE.doubt(Question("kind", SINGLE, ("cat",)), np.zeros(1)) == "probably cat (100 %)"


def test_labels_by_class() -> None:
    assert SINGLE.counts(KIND, answers("kind", "dog", None, "dog", "gone")).tolist() == [0, 2]
