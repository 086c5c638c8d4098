from dataclasses import replace

import numpy as np
import pytest

from pt4al_backend.sampling.baselines import random_sampling
from pt4al_backend.sampling.candidates import Candidates, uncertain
from pt4al_backend.sampling.scikit_activeml import badge, coreset, typiclust
from pt4al_backend.sampling.uncertainty import softmax

pytest.importorskip("skactiveml")

N, WIDTH, CLASSES, WANTED = 200, 16, 4, 20
LABELLED = np.arange(0, N, 10)
SKIPPED = np.array([1, 2])
CENTRES = 3 * np.random.default_rng(1).normal(size=(CLASSES, WIDTH))


@pytest.fixture
def features():
    """Images of four groups, not too far from one another."""
    rng = np.random.default_rng(2)
    return (CENTRES[np.arange(N) % CLASSES] + rng.normal(size=(N, WIDTH))).astype(np.float32)


def lane_of(features, *, labelled=LABELLED, skipped=SKIPPED, seed=0):
    """`features` (n, D) of all images; a model that knows the groups, once there are labels."""
    n = len(features)
    is_open = np.ones(n, dtype=bool)
    is_open[labelled] = is_open[skipped] = False
    have = features[labelled][np.isfinite(features[labelled]).all(axis=1)]

    def predict(positions):
        return softmax(features[positions] @ CENTRES.T / 10)

    def errors(positions):
        shares = predict(positions)
        return shares - np.eye(CLASSES)[shares.argmax(axis=1)]

    return Candidates(
        batch=np.zeros(n, dtype=np.int64),
        rank=np.arange(n),
        uncertainty=np.random.default_rng(3).random(n),
        random_key=np.random.default_rng(seed).random(n),
        open=is_open,
        query_size=WANTED,
        features=lambda positions: features[positions],
        labelled=lambda: have,
        errors=errors if len(labelled) else None,
        predict=predict if len(labelled) else None,
        mistakes=lambda: (np.zeros(len(have), dtype=np.int64), np.zeros(len(have))),
        round=1,
        seed=seed,
    )


def the_rest(lane, first):
    rest = uncertain(lane, 0)
    return rest[~np.isin(rest, first)].tolist()


ALL = pytest.mark.parametrize("order", [badge, coreset, typiclust])


@ALL
def test_the_query_comes_first_and_then_every_other_open_image_once(order, features):
    lane = lane_of(features)
    served = order(lane, WANTED)
    assert sorted(served.tolist()) == np.flatnonzero(lane.open).tolist()
    assert served[WANTED:].tolist() == the_rest(lane, served[:WANTED])
    assert served[:WANTED].tolist() != uncertain(lane, WANTED)[:WANTED].tolist()


@ALL
def test_the_same_seed_gives_the_same_query(order, features):
    one, two = (order(lane_of(features), WANTED)[:WANTED].tolist() for _ in range(2))
    assert one == two


@pytest.mark.parametrize("order", [badge, typiclust])
def test_another_seed_gives_another_query(order, features):
    one, two = (order(lane_of(features, seed=seed), WANTED)[:WANTED].tolist() for seed in (0, 1))
    assert one != two


@ALL
def test_labels_are_taken_into_account(order, features):
    # Group 0 is labelled all over: there is little to learn from another of its images.
    lane = lane_of(features, labelled=np.arange(0, N - 40, CLASSES), skipped=SKIPPED[:0])
    query = order(lane, 9)[:9]
    assert (query % CLASSES == 0).mean() < 0.5


def test_coreset_goes_where_nothing_is_labelled(features):
    labelled = np.flatnonzero(np.arange(N) % CLASSES < 2)[::3]
    query = coreset(lane_of(features, labelled=labelled), 2)[:2]
    assert sorted((query % CLASSES).tolist()) == [2, 3]


@pytest.mark.parametrize("order", [coreset, typiclust])
def test_features_in_other_units_count_as_much(order, features):
    units = np.geomspace(0.01, 100, WIDTH).astype(np.float32)
    plain, scaled = (order(lane_of(some), WANTED)[:WANTED] for some in (features, features * units))
    assert len(set(plain.tolist()) & set(scaled.tolist())) > WANTED * 0.7  # rounding may turn single choices


def test_badge_asks_the_model_about_open_images_only(features):
    shown = []
    lane = lane_of(features)

    def predict(positions):
        shown.append(positions)
        return lane.predict(positions)

    badge(replace(lane, predict=predict), WANTED)
    assert np.concatenate(shown).tolist() == np.flatnonzero(lane.open).tolist()


def test_badge_prefers_what_the_model_is_unsure_of(features):
    features[:, 0] = np.where(np.arange(N) < 100, -1, 1)
    lane = lane_of(features)

    def predict(positions):
        return np.where(features[positions, :1] < 0, np.eye(CLASSES)[:1], 1 / CLASSES)  # sure of the first hundred

    query = badge(replace(lane, predict=predict), WANTED)[:WANTED]
    assert (query >= 100).sum() >= WANTED - 1


def test_badge_is_random_before_the_first_label(features):
    lane = lane_of(features, labelled=LABELLED[:0])
    assert badge(lane, WANTED).tolist() == random_sampling(lane, WANTED).tolist()


@pytest.mark.parametrize("order", [coreset, typiclust])
def test_before_the_first_label(order, features):
    lane = lane_of(features, labelled=LABELLED[:0])
    served = order(lane, WANTED)
    assert sorted(served.tolist()) == np.flatnonzero(lane.open).tolist()
    assert set((served[:WANTED] % CLASSES).tolist()) == set(range(CLASSES))


@ALL
def test_images_whose_features_are_unknown_are_behind_the_query_but_are_served(order, features):
    features[5::7] = np.nan
    lane = lane_of(features)
    served = order(lane, WANTED)
    assert np.isfinite(features[served[:WANTED]]).all()
    assert sorted(served.tolist()) == np.flatnonzero(lane.open).tolist()


@ALL
def test_while_no_features_are_known_the_most_uncertain_come_first(order, features):
    lane = lane_of(np.full_like(features, np.nan))
    assert order(lane, WANTED).tolist() == uncertain(lane, WANTED).tolist()


@ALL
def test_nothing_is_left(order, features):
    assert len(order(lane_of(features, labelled=np.arange(N)), WANTED)) == 0


@ALL
@pytest.mark.parametrize("left", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_last_images_of_a_pool(order, left, seed, features):
    lane = lane_of(features, labelled=np.random.default_rng(seed).permutation(N)[left:], skipped=SKIPPED[:0], seed=seed)
    assert sorted(order(lane, WANTED).tolist()) == np.flatnonzero(lane.open).tolist()


@ALL
@pytest.mark.parametrize("labels", [0, 3])
def test_a_pool_of_identical_images(order, labels):
    lane = lane_of(np.zeros((50, WIDTH), dtype=np.float32), labelled=np.arange(labels), skipped=SKIPPED[:0])
    assert sorted(order(lane, 10).tolist()) == np.flatnonzero(lane.open).tolist()


@ALL
def test_a_pool_of_few_distinct_images(order, features):
    lane = lane_of(features[np.arange(N) % 7], labelled=np.array([0]))
    assert sorted(order(lane, WANTED).tolist()) == np.flatnonzero(lane.open).tolist()


def test_badge_with_a_model_that_is_sure_of_everything(features):
    lane = lane_of(features)
    for classes in (1, CLASSES):
        sure = np.eye(classes)[:1]
        served = badge(replace(lane, predict=lambda some, sure=sure: np.repeat(sure, len(some), axis=0)), WANTED)
        assert sorted(served.tolist()) == np.flatnonzero(lane.open).tolist()
