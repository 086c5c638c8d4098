from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.candidates import alike, candidates, scattered

from pt4al_backend.sampling import badge, typical
from pt4al_backend.sampling.badge import Gradients, spread_out
from pt4al_backend.sampling.candidates import random_key

NOTHING = np.arange(0)


def sample(n, *, classes=4, width=6, seed=0):
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
    these, others = gradients(*sample(40)), gradients(*sample(700, seed=1))
    plain, far = written_out(these), written_out(others)
    squared = ((plain[:, None] - far[None]) ** 2).sum(axis=2)
    assert np.allclose(these.lengths, (plain**2).sum(axis=1))
    assert np.allclose(these.to_nearest(others), squared.min(axis=1))
    assert (these.to_nearest(others[NOTHING]) == np.inf).all()


def test_the_longest_gradient_comes_first():
    these = gradients(*sample(40))
    assert picked(these, wanted=1).tolist() == [these.lengths.argmax()]


def test_the_second_is_drawn_in_proportion_to_its_distance():
    features, errors = np.eye(3), np.array([[2.0], [1.5], [0.5]])  # closer to zero than to the first
    these = Gradients(features, errors)
    often = np.mean([picked(these, wanted=2, seed=seed)[1] == 1 for seed in range(4000)])
    assert abs(often - 1.5**2 / (1.5**2 + 0.5**2)) < 0.02


def test_only_one_of_equal_images_is_taken_while_others_are_left():
    features, probabilities = sample(30)
    features[:20], probabilities[:20] = 10 * features[0], [0.4, 0.3, 0.2, 0.1]  # alike, and very uncertain
    assert (picked(gradients(features, probabilities), wanted=11, seed=3) < 20).sum() == 1


def test_images_like_those_already_chosen_are_not_taken():
    features, probabilities = sample(40)
    features[1::2], probabilities[1::2] = features[::2], probabilities[::2]  # twins
    these = gradients(features, probabilities)
    one = picked(these, wanted=8)
    more = picked(these, chosen=one, wanted=12)
    assert sorted(np.concatenate([one, more]) // 2) == list(range(20))


def test_images_the_model_is_sure_of_are_rarely_taken():
    features, probabilities = sample(100)
    probabilities[50:] = [0.997, 0.001, 0.001, 0.001]
    assert (picked(gradients(features, probabilities), wanted=20) < 50).all()


def test_a_query_continues_after_its_first_images_are_labelled():
    these = gradients(*sample(200))
    whole = picked(these, wanted=30)
    assert picked(these, chosen=whole[:10], wanted=20).tolist() == whole[10:].tolist()


def test_a_model_that_changes_little_changes_little_of_the_order():
    features, probabilities = sample(200)
    before = picked(gradients(features, probabilities), wanted=30)
    noise = np.random.default_rng(1).normal(scale=0.02, size=probabilities.shape)
    shifted = np.maximum(probabilities + noise, 1e-3)
    after = picked(gradients(features, shifted / shifted.sum(axis=1, keepdims=True)), wanted=30)
    assert len(set(before[:10].tolist()) & set(after.tolist())) >= 8


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 40), st.integers(0, 5), st.booleans(), st.integers(0, 10))
def test_picks_are_distinct_as_many_as_wanted_and_repeatable(n, wanted, seed, equal, before):
    features, probabilities = sample(n, seed=seed)
    if equal:
        features[:], probabilities[:] = 1.0, 0.25
    these, chosen = gradients(features, probabilities), np.arange(min(before, n))
    picks = picked(these, chosen=chosen, wanted=wanted, seed=seed)
    assert len(picks) == len(set(picks.tolist())) == min(wanted, n - len(chosen))
    assert picks.tolist() == picked(these, chosen=chosen, wanted=wanted, seed=seed).tolist()


# As a query strategy


@pytest.mark.parametrize("at_once", [1, 5, 10, 40])
def test_near_duplicates_do_not_fill_a_query_however_often_it_is_made_again(at_once):
    """Forty groups of eight; the model is as uncertain about labelled images as about the rest."""
    group = np.repeat(range(40), 8)
    embeddings = np.concatenate([alike(8, seed=seed) for seed in range(40)])
    errors = np.random.default_rng(9).normal(size=(40, 3))[group]
    query: list[int] = []
    while len(query) < 40:
        images = candidates(embeddings, gradients=errors, not_open=query, query_size=40)
        query += badge.query(images, 40 - len(query))[:at_once].tolist()
    assert len(set(group[query].tolist())) == 40


def test_before_the_first_label_typical_images_are_taken():
    embeddings = scattered(40)
    assert badge.query(candidates(embeddings), 5).tolist() == typical.query(candidates(embeddings), 5).tolist()


def test_images_whose_embeddings_are_unknown_are_not_taken():
    embeddings = scattered(40)
    embeddings[::4] = np.nan
    query = badge.query(candidates(embeddings, gradients=scattered(40, seed=1, width=3), not_open=[1, 4]), 100)
    assert sorted(query.tolist()) == [position for position in range(2, 40) if position % 4]


# Compared with scikit-activeml's, on the same embeddings and probabilities


def theirs(features, probabilities, *, wanted, seed):
    """What scikit-activeml's BADGE picks, and the probabilities (wanted, n) of its draws."""
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge

    class Fitted(SkactivemlClassifier):
        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
            return self

        def predict_proba(self, X: Any) -> Any:
            return probabilities

    picks, draws = Badge(missing_label=-1, random_state=seed).query(
        features,
        np.full(len(features), -1),
        clf=Fitted(missing_label=-1),
        fit_clf=False,
        batch_size=wanted,
        return_utilities=True,
    )
    return np.array(picks), draws


@pytest.mark.parametrize("seed", range(4))
def test_the_first_pick_is_scikit_activemls(seed):
    features, probabilities = sample(60, seed=seed)
    picks, _ = theirs(features, probabilities, wanted=1, seed=0)
    assert picked(gradients(features, probabilities), wanted=1).tolist() == picks.tolist()


def test_the_second_pick_is_drawn_by_scikit_activemls_probabilities():
    features, probabilities = sample(8, width=3)
    _, draws = theirs(features, probabilities, wanted=2, seed=0)
    these = gradients(features, probabilities)
    seconds = [picked(these, wanted=2, seed=seed)[1] for seed in range(4000)]
    often = np.bincount(seconds, minlength=8) / 4000
    assert often == pytest.approx(np.nan_to_num(draws[1]), abs=4 * np.sqrt(0.25 / 4000))


def test_queries_lie_as_far_apart_as_scikit_activemls():
    features, probabilities = sample(120)
    these = gradients(features, probabilities)
    plain = written_out(these)

    def apart(picks):
        """The mean distance from a pick to the nearest other pick."""
        far = np.sqrt(((plain[picks][:, None] - plain[picks][None]) ** 2).sum(axis=2))
        return (far + np.where(np.eye(len(picks)), np.inf, 0)).min(axis=1).mean()

    seeds = range(60)
    ours = [apart(picked(these, wanted=12, seed=seed)) for seed in seeds]
    others = [apart(theirs(features, probabilities, wanted=12, seed=seed)[0]) for seed in seeds]
    error = np.sqrt((np.var(ours) + np.var(others)) / len(seeds))
    assert abs(np.mean(ours) - np.mean(others)) < 4 * error
    assert np.mean(ours) > 1.1 * np.mean([apart(np.random.default_rng(k).permutation(120)[:12]) for k in seeds])
