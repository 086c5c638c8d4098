import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.candidates import alike, candidates, scattered

from pt4al_backend.sampling import coverage, typical
from pt4al_backend.sampling.candidates import random_key
from pt4al_backend.sampling.coverage import most_informative

NOTHING = np.empty((0, 8), dtype=np.float32)


def groups(*sizes, spread=1e-3, width=8):
    """Images in tight groups far from one another, and the group of each."""
    rng = np.random.default_rng(len(sizes))
    of = np.repeat(range(len(sizes)), sizes)
    centres = rng.normal(size=(len(sizes), width))
    return (centres[of] + spread * rng.normal(size=(len(of), width))).astype(np.float32), of


def test_one_image_of_each_group_the_heaviest_group_first():
    features, of = groups(5, 40, 20, 10)
    picks = most_informative(features, np.ones(75), NOTHING, wanted=4)
    assert of[picks].tolist() == [1, 2, 3, 0]


def test_weights_count_not_numbers():
    features, of = groups(5, 40, 20, 10)
    weights = np.array([100.0, 1.0, 0.1, 1.0])[of]
    assert of[most_informative(features, weights, NOTHING, wanted=3)].tolist() == [0, 1, 3]


def test_labelled_images_are_covered():
    features, of = groups(5, 40, 20, 10)
    covered = features[[5, 45]]  # one of group 1, one of group 2
    picks = most_informative(features, np.ones(75), covered, wanted=2)
    assert of[picks].tolist() == [3, 0]


def test_coverage_comes_before_mere_uncertainty():
    features, of = groups(20, 1, 15, 15)
    weights = np.array([0.5, 0.9, 0.1, 0.1])[of]  # one image is the most uncertain, but alone
    assert of[most_informative(features, weights, NOTHING, wanted=4)].tolist()[::3] == [0, 1]


def test_one_of_many_similar_images_is_enough():
    features, of = groups(90, *[1] * 10)
    picks = most_informative(features, np.ones(100), NOTHING, wanted=11)
    assert sorted(of[picks].tolist()) == list(range(11))


def test_an_image_of_no_value_is_chosen_last():
    features, _ = groups(3, 3)
    picks = most_informative(features, np.zeros(6), NOTHING, wanted=6)
    assert sorted(picks.tolist()) == list(range(6))


def test_directions_count_not_lengths():
    rng = np.random.default_rng(0)
    features, of = groups(20, 20, 20, spread=1e-2)
    features -= features.mean(axis=0)  # so that standardising keeps directions
    stretched = features * rng.uniform(0.5, 2, (60, 1))
    assert sorted(of[most_informative(stretched, np.ones(60), NOTHING, wanted=3)].tolist()) == [0, 1, 2]


def test_features_in_other_units_are_covered_alike():
    features, weights = np.random.default_rng(1).normal(size=(50, 8)), np.random.default_rng(2).random(50)
    units, offset = np.geomspace(0.1, 100, 8), np.linspace(-5, 5, 8)
    plain = most_informative(features, weights, features[:3], wanted=10)
    scaled = most_informative(features * units + offset, weights, features[:3] * units + offset, wanted=10)
    assert plain.tolist() == scaled.tolist()


def test_picks_leave_less_uncovered_than_the_most_uncertain_do():
    features, of = groups(*[30] * 10, spread=0.3)
    weights = np.linspace(1, 0.5, 300)  # group 0 is the most uncertain
    picks = most_informative(features, weights, NOTHING, wanted=10)
    assert len(set(of[picks].tolist())) >= 8
    assert len(set(of[np.argsort(-weights)[:10]].tolist())) == 1


@pytest.mark.parametrize("covered", [0, 5])
def test_identical_images(covered):
    picks = most_informative(np.ones((4, 8)), np.ones(4), np.ones((covered, 8)), wanted=3)
    assert len(set(picks.tolist())) == 3


def test_no_image():
    picks = most_informative(NOTHING, np.empty(0), NOTHING, wanted=3)
    assert picks.tolist() == []
    assert picks.dtype == np.int64


def test_one_image():
    assert most_informative(np.ones((1, 8)), np.ones(1), NOTHING, wanted=3).tolist() == [0]


def test_labelled_images_count_however_many_there_are(monkeypatch):
    features, of = groups(10, 10, 10, 10)
    covered = np.concatenate([features[:10], features[10:20], features[20:30]])
    monkeypatch.setattr(coverage, "MOST", 40)
    together = most_informative(features, np.ones(40), covered, wanted=1)
    many = np.concatenate([covered] * 5)  # 150 in chunks of 40
    assert of[together].tolist() == of[most_informative(features, np.ones(40), many, wanted=1)].tolist() == [3]


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 5), st.integers(0, 40), st.integers(1, 4), st.integers(0, 999))
def test_picks_are_distinct_and_as_many_as_wanted(m, labelled, wanted, values, seed):
    rng = np.random.default_rng(seed)
    features = rng.integers(0, values, (m, 3)).astype(np.float16)  # as they are on disk
    picks = most_informative(features, rng.integers(0, 3, m) / 2, rng.integers(0, values, (labelled, 3)), wanted=wanted)
    assert len(set(picks.tolist())) == len(picks) == min(m, wanted)
    assert ((picks >= 0) & (picks < m)).all()


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 999))
def test_a_smaller_query_is_the_beginning_of_a_larger_one(seed):
    rng = np.random.default_rng(seed)
    features, weights, covered = rng.normal(size=(40, 8)), rng.random(40), rng.normal(size=(3, 8))
    small, large = (most_informative(features, weights, covered, wanted=wanted) for wanted in (5, 15))
    assert large[:5].tolist() == small.tolist()


# As a query strategy


@pytest.mark.parametrize("others", [150, 50, 20])
def test_near_duplicates_do_not_fill_a_query(others):
    embeddings = np.concatenate([alike(50), scattered(others, seed=1)])
    unsure = np.concatenate([np.full(50, 0.9), np.linspace(0.1, 0.6, others)])
    assert 1 <= (coverage.query(candidates(embeddings, uncertainty=unsure), 10) < 50).sum() <= 2


def test_the_most_uncertain_are_taken_if_all_are_equally_different():
    unsure = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 12))
    query = coverage.query(candidates(np.eye(12), uncertainty=unsure), 5)
    assert query.tolist() == np.argsort(-unsure)[:5].tolist()


def test_images_the_model_is_sure_of_are_not_taken():
    unsure = np.where(np.arange(100) < 50, 0.9, 0.01)
    assert (coverage.query(candidates(scattered(100), uncertainty=unsure), 10) < 50).all()


def test_without_any_prediction_typical_images_are_taken():
    embeddings = np.concatenate([alike(size, seed=seed) for seed, size in enumerate([10, 60, 30])])
    assert coverage.query(candidates(embeddings), 3).tolist() == typical.query(candidates(embeddings), 3).tolist()


@pytest.mark.parametrize("strategy", [typical, coverage])
def test_images_like_labelled_ones_come_late(strategy):
    group = np.repeat(range(10), 10)
    embeddings = np.concatenate([alike(10, seed=seed) for seed in range(10)])
    images = candidates(embeddings, uncertainty=np.full(100, 0.5), labelled=embeddings[::10][:4])
    assert sorted(group[strategy.query(images, 6)].tolist()) == [4, 5, 6, 7, 8, 9]


# Large pools


def test_images_are_drawn_in_proportion_to_their_weights():
    weights = np.repeat([1.0, 3.0], 5000)
    drawn, _ = coverage.draw(weights, random_key(np.arange(10_000), seed=0), 400)
    assert len(set(drawn.tolist())) == 400
    assert (drawn >= 5000).mean() == pytest.approx(0.75, abs=0.06)


@pytest.mark.parametrize("power", [0, 1, 5])
def test_those_drawn_stand_for_all(power):
    weights = np.random.default_rng(0).random(20_000) ** power
    _, stands_for = coverage.draw(weights, random_key(np.arange(20_000), seed=0), 2000)
    assert stands_for.sum() == pytest.approx(weights.sum(), rel=0.08)


def test_of_a_small_pool_all_are_taken():
    weights = np.array([0.0, 2.0, 1.0])
    drawn, stands_for = coverage.draw(weights, np.array([0.5, 0.1, 0.9]), 3)
    assert (drawn.tolist(), stands_for.tolist()) == ([1, 2, 0], [2.0, 1.0, 0.0])


def test_a_large_pool_is_covered_too(monkeypatch):
    monkeypatch.setattr(coverage, "MOST", 60)
    group = np.repeat(range(6), 100)
    embeddings = np.concatenate([alike(100, seed=seed) for seed in range(6)])
    assert sorted(group[coverage.query(candidates(embeddings), 6)].tolist()) == list(range(6))
    sure = np.where(group == 2, 0.9, 1e-3)
    assert (group[coverage.query(candidates(embeddings, uncertainty=sure), 1)] == 2).all()


def test_as_many_images_are_chosen_as_are_wanted(monkeypatch):
    monkeypatch.setattr(coverage, "MOST", 10)
    assert len(coverage.query(candidates(scattered(100)), 40)) == 40


def test_lazily_or_not_the_same_images_are_picked(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(5)
    embeddings = np.repeat(random.standard_normal((60, 8)), 4, axis=0) + 0.1 * random.standard_normal((240, 8))
    weights, covered = random.random(240), embeddings[:20] + 0.01
    lazily = most_informative(embeddings, weights, covered, wanted=240)
    assert sorted(lazily) == list(range(240))
    monkeypatch.setattr(coverage, "_AT_ONCE", 240)  # all gains are computed again for every pick
    assert (most_informative(embeddings, weights, covered, wanted=240)[:100] == lazily[:100]).all()


def test_many_copies_of_a_few_images_do_not_keep_it_forever() -> None:
    copies = np.repeat(np.eye(4, 16), 100, axis=0)
    picks = most_informative(copies, np.ones(400), copies[:3], wanted=150)
    assert len(np.unique(picks)) == 150
