import numpy as np
import pytest

from pt4al_backend.sampling.uncertainty import UNCERTAINTIES, confidence, entropy, margin, softmax

SURE, TORN, LOST = [9.0, 0.0, 0.0], [3.0, 2.9, -4.0], [1.0, 1.0, 1.0]


@pytest.mark.parametrize("name", UNCERTAINTIES)
def test_unsure_images_score_higher(name):
    sure, torn, lost = UNCERTAINTIES[name](np.array([SURE, TORN, LOST]))
    assert sure < torn <= lost + 1e-6 or (name == "margin" and sure < torn)


def test_confidence_is_the_papers_softmax_over_normalised_logits():
    # Logits (3, 4, 0) have norm 5: softmax(0.6, 0.8, 0).
    expected = 1 - np.exp(0.8) / (np.exp(0.6) + np.exp(0.8) + 1)
    assert confidence(np.array([[3.0, 4.0, 0.0]]))[0] == pytest.approx(expected)


def test_confidence_tells_images_of_two_classes_apart():
    # A refitted head's two logits are opposite: normalised, all images would be alike.
    torn, sure = confidence(np.array([[0.1, -0.1], [2.0, -2.0]]))
    assert torn > sure + 0.3


def test_margin_and_entropy_by_hand():
    logits = np.log(np.array([[0.5, 0.25, 0.25]]))
    assert margin(logits)[0] == pytest.approx(0.75)
    assert entropy(logits)[0] == pytest.approx(1.5 * np.log(2))


@pytest.mark.parametrize("name", UNCERTAINTIES)
def test_one_class_and_extreme_logits_stay_finite(name):
    assert np.isfinite(UNCERTAINTIES[name](np.zeros((3, 1)))).all()
    assert np.isfinite(UNCERTAINTIES[name](np.array([[1e4, -1e4], [0.0, 0.0]], dtype=np.float32))).all()


def test_softmax_rows_sum_to_one():
    assert softmax(np.array([SURE, TORN, LOST])).sum(axis=1) == pytest.approx(1)
