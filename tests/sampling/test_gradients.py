import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pt4al_backend.sampling.gradients import spread_out


def some(n, *, classes=4, width=6, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, width)), random.dirichlet(np.ones(classes), size=n)


def test_the_longest_gradient_comes_first():
    features, probabilities = some(40)
    errors = probabilities - np.eye(4)[probabilities.argmax(axis=1)]
    gradients = errors[:, :, None] * features[:, None, :]
    longest = (gradients**2).sum(axis=(1, 2)).argmax()
    assert spread_out(features, probabilities, wanted=1, seed=0).tolist() == [longest]


def test_only_one_of_equal_images_is_taken_while_others_are_left():
    features, probabilities = some(30)
    features[:20], probabilities[:20] = 10 * features[0], [0.4, 0.3, 0.2, 0.1]  # alike, and very uncertain
    picks = spread_out(features, probabilities, wanted=11, seed=3)
    assert (picks < 20).sum() == 1


def test_what_the_model_is_sure_of_is_hardly_taken():
    features, probabilities = some(100)
    probabilities[50:] = [0.997, 0.001, 0.001, 0.001]
    assert (spread_out(features, probabilities, wanted=20, seed=0) < 50).all()


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 5), st.booleans())
def test_picks_are_distinct_as_many_as_wanted_and_repeatable(n, wanted, seed, equal):
    features, probabilities = some(n, seed=seed)
    if equal:
        features[:], probabilities[:] = 1.0, 0.25
    picks = spread_out(features, probabilities, wanted=wanted, seed=seed)
    assert len(picks) == len(set(picks.tolist())) == min(wanted, n)
    assert picks.tolist() == spread_out(features, probabilities, wanted=wanted, seed=seed).tolist()
