import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pt4al_backend.sampling.badge import Gradients, spread_out
from pt4al_backend.sampling.candidates import random_key

NOTHING = np.arange(0)


def some(n, *, classes=4, width=6, seed=0):
    """Features and probabilities of `n` images."""
    random = np.random.default_rng(seed)
    return random.normal(size=(n, width)), random.dirichlet(np.ones(classes), size=n)


def gradients(features, probabilities):
    errors = probabilities - np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
    return Gradients(features, errors)


def picked(all_of_them, *, chosen=NOTHING, wanted, seed=0):
    """Positions picked among all but `chosen`."""
    left = np.setdiff1d(np.arange(len(all_of_them)), chosen)
    draws = random_key(left, seed=seed)
    return left[spread_out(all_of_them[left], chosen=all_of_them[chosen], random_key=draws, wanted=wanted)]


def written_out(these):
    return (these.errors[:, :, None] * these.inputs[:, None, :]).reshape(len(these), -1)


def test_lengths_and_distances_are_those_of_the_outer_products():
    these, others = gradients(*some(40)), gradients(*some(700, seed=1))
    plain, far = written_out(these), written_out(others)
    squared = ((plain[:, None] - far[None]) ** 2).sum(axis=2)
    assert np.allclose(these.lengths, (plain**2).sum(axis=1))
    assert np.allclose(these.to_nearest(others), squared.min(axis=1))
    assert (these.to_nearest(others[NOTHING]) == np.inf).all()


def test_the_longest_gradient_comes_first():
    these = gradients(*some(40))
    assert picked(these, wanted=1).tolist() == [these.lengths.argmax()]


def test_the_second_is_drawn_in_proportion_to_its_distance():
    features, errors = np.eye(3), np.array([[2.0], [1.5], [0.5]])  # nearer to nothing than to the first
    these = Gradients(features, errors)
    often = np.mean([picked(these, wanted=2, seed=seed)[1] == 1 for seed in range(4000)])
    assert abs(often - 1.5**2 / (1.5**2 + 0.5**2)) < 0.02


def test_only_one_of_equal_images_is_taken_while_others_are_left():
    features, probabilities = some(30)
    features[:20], probabilities[:20] = 10 * features[0], [0.4, 0.3, 0.2, 0.1]  # alike, and very uncertain
    assert (picked(gradients(features, probabilities), wanted=11, seed=3) < 20).sum() == 1


def test_what_is_like_those_that_were_chosen_before_is_not_taken():
    features, probabilities = some(40)
    features[1::2], probabilities[1::2] = features[::2], probabilities[::2]  # twins
    these = gradients(features, probabilities)
    one = picked(these, wanted=8)
    more = picked(these, chosen=one, wanted=12)
    assert sorted(np.concatenate([one, more]) // 2) == list(range(20))


def test_what_the_model_is_sure_of_is_hardly_taken():
    features, probabilities = some(100)
    probabilities[50:] = [0.997, 0.001, 0.001, 0.001]
    assert (picked(gradients(features, probabilities), wanted=20) < 50).all()


def test_a_query_goes_on_where_it_was_when_its_first_images_are_labelled():
    these = gradients(*some(200))
    whole = picked(these, wanted=30)
    assert picked(these, chosen=whole[:10], wanted=20).tolist() == whole[10:].tolist()


def test_a_model_that_changes_little_changes_little_of_the_order():
    features, probabilities = some(200)
    before = picked(gradients(features, probabilities), wanted=30)
    noise = np.random.default_rng(1).normal(scale=0.02, size=probabilities.shape)
    shifted = np.maximum(probabilities + noise, 1e-3)
    after = picked(gradients(features, shifted / shifted.sum(axis=1, keepdims=True)), wanted=30)
    assert len(set(before[:10].tolist()) & set(after.tolist())) >= 8


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 5), st.booleans(), st.integers(0, 10))
def test_picks_are_distinct_as_many_as_wanted_and_repeatable(n, wanted, seed, equal, before):
    features, probabilities = some(n, seed=seed)
    if equal:
        features[:], probabilities[:] = 1.0, 0.25
    these, chosen = gradients(features, probabilities), np.arange(min(before, n))
    picks = picked(these, chosen=chosen, wanted=wanted, seed=seed)
    assert len(picks) == len(set(picks.tolist())) == min(wanted, n - len(chosen))
    assert picks.tolist() == picked(these, chosen=chosen, wanted=wanted, seed=seed).tolist()
