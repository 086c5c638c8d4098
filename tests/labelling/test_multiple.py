"""Multiple choice, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.answers import answers

from pt4al_backend.active_learning.training_data import answered
from pt4al_backend.labelling.multiple import MULTIPLE, chosen_classes, error_of_labels, of_labels
from pt4al_backend.labelling.questions import Question
from pt4al_backend.sampling.uncertainty import UNCERTAINTIES, confidence, entropy, margin

SEEN = Question("result", MULTIPLE, ("tail", "ear", "paw"))


def test_several_classes() -> None:
    found = chosen_classes(SEEN, answers("result", ["paw", "tail"], None, [], ["ear", "a class that is gone"]))
    assert found.tolist() == [[1, 0, 1], [-1, -1, -1], [0, 0, 0], [0, 1, 0]]
    assert found.dtype == np.int8
    assert answered(found).tolist() == [True, False, True, True]  # choosing no class is an answer


def test_labels_by_hand():
    # Logit log 3: present with probability 0.75; logit 0: undecided.
    logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0], [3.0, 1 / 3]]))
    assert of_labels(logits, margin) == pytest.approx([(0.5 + 1) / 2, 1, 0.5])
    assert of_labels(logits, confidence) == pytest.approx([(0.25 + 0.5) / 2, 0.5, 0.25])
    quarter = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert of_labels(logits, entropy) == pytest.approx([(quarter + np.log(2)) / 2, np.log(2), quarter])


@given(st.lists(st.lists(st.floats(-50, 50), min_size=3, max_size=3), min_size=1, max_size=8), st.data())
def test_all_labels_count_alike_whether_absent_or_present(rows, data):
    logits = np.array(rows, dtype=np.float32)
    shuffled = logits[:, data.draw(st.permutations(range(3)))] * data.draw(st.sampled_from([-1, 1]))
    for measure in UNCERTAINTIES.values():
        unsure = of_labels(logits, measure)
        assert unsure.shape == (len(rows),)
        assert (unsure >= 0).all() and (unsure <= 1 + 1e-6).all()
        assert of_labels(shuffled, measure) == pytest.approx(unsure, abs=1e-5)
        assert (of_labels(logits / 2, measure) >= unsure - 1e-6).all()


def test_unanswered() -> None:
    assert chosen_classes(SEEN, []).shape == (0, 3)


def test_an_error_is_the_probability_minus_the_prediction() -> None:
    """Two labels, one with odds of 3 to 1, one undecided; scaled so that all undecided has length 1."""
    assert error_of_labels(np.array([[np.log(3), 0.0]])) == pytest.approx(
        np.array([[2 * (0.75 - 1) / np.sqrt(2), 2 * 0.5 / np.sqrt(2)]])
    )


def test_a_stored_prediction_tells_which_classes_are_present() -> None:
    probability, stored = MULTIPLE.predicted(np.log(np.array([[3.0, 1 / 3, 3.0]])))
    assert probability == pytest.approx([0.75])
    assert [MULTIPLE.value(SEEN, each) for each in stored] == [("tail", "paw")]


def test_what_the_model_is_unsure_about() -> None:
    odds = np.log(np.array([3.0, 9.5, 1.0]))
    assert MULTIPLE.doubt(SEEN, odds) == "uncertain about paw (50 %) and tail (75 %)"
    assert MULTIPLE.doubt(SEEN, np.array([9.0, -9.0, 9.0])) == "probably tail and paw"
    assert MULTIPLE.doubt(SEEN, np.full(3, -9.0)) == "probably none of the classes"


def test_labels_by_class() -> None:
    assert MULTIPLE.counts(SEEN, answers("result", ["tail", "paw"], None, ["tail"], [])).tolist() == [2, 0, 1]
