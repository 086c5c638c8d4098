import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pt4al_backend.sampling.uncertainty import UNCERTAINTIES, confidence, entropy, margin, mean_rank, softmax

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
    # A linear probe's two logits are opposite: normalised, all images would be alike.
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


# Labels that do not exclude one another, and pixels


# Several questions


def test_mean_ranks_by_hand():
    nan = np.nan
    first, second = np.array([0.3, 0.1, nan, 0.2, nan]), np.array([9.0, nan, 5.0, 5.0, nan])
    # Ranks of three each: 3/3, 1/3, -, 2/3, - and 3/3, -, 1.5/3, 1.5/3, -.
    assert mean_rank([first, second]) == pytest.approx([1, 1 / 3, 0.5, (2 / 3 + 0.5) / 2, nan], nan_ok=True)


UNSURE = st.lists(
    st.tuples(*[st.one_of(st.just(float("nan")), st.floats(-1e6, 1e6))] * 3), min_size=1, max_size=12
).map(lambda rows: np.array(rows).T)


@given(UNSURE)
def test_mean_ranks_lie_between_0_and_1_where_anything_is_known(unsure):
    found = mean_rank(unsure)
    known = np.isfinite(unsure).any(axis=0)
    assert (np.isfinite(found) == known).all()
    assert (found[known] > 0).all() and (found[known] <= 1).all()


@given(UNSURE)
def test_mean_ranks_look_at_the_order_alone(unsure):
    doubled = np.concatenate([unsure, unsure])
    assert mean_rank(doubled) == pytest.approx(mean_rank(unsure), nan_ok=True)
    orders = [np.unique(one[np.isfinite(one)], return_inverse=True)[1] for one in unsure]
    other = np.full_like(unsure, np.nan)
    for row, one, order in zip(other, unsure, orders, strict=True):
        row[np.isfinite(one)] = np.exp(order / 4) - 100
    assert mean_rank(other) == pytest.approx(mean_rank(unsure), nan_ok=True)


@given(UNSURE)
def test_the_mean_rank_of_one_question_is_its_order(unsure):
    (found,) = [mean_rank(unsure[:1])]
    known = np.isfinite(unsure[0])
    for k in np.flatnonzero(known):
        below, level = (unsure[0][known] < unsure[0][k]).sum(), (unsure[0][known] == unsure[0][k]).sum()
        assert found[k] == pytest.approx((below + (level + 1) / 2) / known.sum())


@given(UNSURE, st.data())
def test_an_image_less_certain_in_all_questions_is_not_served_later(unsure, data):
    image = data.draw(st.integers(0, unsure.shape[1] - 1))
    more = np.concatenate([unsure, unsure[:, image : image + 1] + 1], axis=1)
    found = mean_rank(more)
    if np.isfinite(found[image]):
        assert found[-1] > found[image]
