from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pt4al_backend.sampling.badge import gradients
from pt4al_backend.sampling.baselines import at_even_distances, evenly_spaced, random_sampling
from pt4al_backend.sampling.candidates import Candidates, known, random_key, then_the_rest, uncertain
from pt4al_backend.sampling.coverage import coverage, typical

OWN_ORDERS = [evenly_spaced, uncertain, random_sampling, typical, coverage, gradients]


def lane(
    features=None,
    *,
    n=None,
    rank=None,
    uncertainty=None,
    errors=None,
    not_open=(),
    labelled=None,
    query_size=10,
    seed=0,
):
    """A lane over `features` (m, D), all open but `not_open`; no opinion unless `uncertainty` is given."""
    features = np.asarray(np.zeros((n or 0, 2)) if features is None else features, dtype=np.float32)
    m = len(features)
    is_open = np.ones(m, dtype=bool)
    is_open[list(not_open)] = False
    return Candidates(
        batch=np.zeros(m, dtype=np.int64),
        rank=np.arange(m) if rank is None else np.array(rank),
        uncertainty=np.full(m, np.nan) if uncertainty is None else np.array(uncertainty, dtype=float),
        random_key=random_key(np.arange(1, m + 1), seed=seed),
        open=is_open,
        query_size=query_size,
        features=lambda positions: features[positions],
        labelled=lambda: features[:0] if labelled is None else np.asarray(labelled, dtype=np.float32),
        errors=None if errors is None else lambda positions: np.asarray(errors)[positions],
        predict=None,
        mistakes=lambda: (np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool)),
        round=0,
        seed=seed,
    )


def scattered(n, *, seed=0, width=16):
    """`n` images that have nothing to do with one another."""
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def alike(n, *, seed=0, width=16):
    """`n` almost identical images."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(1, width)) + 1e-3 * rng.normal(size=(n, width))).astype(np.float32)


# Without features


def test_even_distances():
    assert at_even_distances(10, 3).tolist() == [0, 3, 6, 1, 2, 4, 5, 7, 8, 9]
    assert at_even_distances(4, 9).tolist() == [0, 1, 2, 3]
    assert at_even_distances(3, 0).tolist() == [0, 1, 2]


@given(st.integers(0, 200), st.integers(0, 50))
def test_even_distances_differ_by_one_at_most(n, k):
    positions = at_even_distances(n, k)
    gaps = np.diff(positions[: min(n, k)])
    assert sorted(positions.tolist()) == list(range(n))
    assert not len(gaps) or gaps.max() - gaps.min() <= 1


def test_the_cold_start_takes_images_at_even_distances_through_the_losses():
    hardest_last = lane(n=6, rank=[5, 4, 3, 2, 1, 0], query_size=3)
    assert evenly_spaced(hardest_last, 3).tolist() == [5, 3, 1, 4, 2, 0]


def test_a_label_does_not_move_the_rest_of_the_cold_start():
    assert evenly_spaced(lane(n=6, query_size=3, not_open=[2]), 2).tolist() == [0, 4, 1, 3, 5]


def test_most_uncertain_first_and_those_without_an_opinion_behind_by_rank():
    some = lane(n=6, uncertainty=[0.1, np.nan, 0.9, np.nan, 0.5, 0.0], rank=[5, 4, 3, 2, 1, 0])
    assert uncertain(some, 3).tolist() == [2, 4, 0, 5, 3, 1]


def test_equal_uncertainties_are_sorted_by_rank():
    assert uncertain(lane(n=3, uncertainty=[0.5, 0.5, 0.5], rank=[2, 0, 1]), 1).tolist() == [1, 2, 0]


def test_lucky_follows_luck_and_nothing_else():
    some = replace(lane(n=4, uncertainty=[1, 0, 1, 0], not_open=[3]), random_key=np.array([0.7, 0.2, 0.4, 0.1]))
    assert random_sampling(some, 2).tolist() == [1, 2, 0]


@pytest.mark.parametrize("seed", [0, 1, 2, 12345, 2**40])
def test_luck_is_roughly_uniform(seed):
    values = random_key(np.arange(1, 10_001), seed=seed)
    assert ((values >= 0) & (values < 1)).all()
    assert len(set(values.tolist())) == len(values)
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.05  # neighbours have nothing to do with each other


def test_luck_of_a_task_is_the_same_whatever_other_tasks_there_are():
    everybody = random_key(np.arange(1000), seed=1)
    some = np.array([990, 3, 500, 7])
    assert random_key(some, seed=1).tolist() == everybody[some].tolist()
    assert random_key(some.astype(np.int32), seed=1).tolist() == everybody[some].tolist()
    assert random_key(np.array([3]), seed=1).tolist() == everybody[[3]].tolist()
    assert len(random_key(np.array([], dtype=np.int64), seed=1)) == 0


def test_luck_changes_with_the_seed():
    tasks = np.arange(1, 2001)
    drawn = np.array([random_key(tasks, seed=seed) for seed in range(6)])
    between = np.corrcoef(drawn)[np.triu_indices(6, 1)]
    assert np.abs(between).max() < 0.1


@given(st.lists(st.integers(1, 2**53), unique=True, min_size=2, max_size=50), st.integers(0, 2**63), st.data())
def test_tasks_that_go_do_not_change_the_order_of_the_others(tasks, seed, data):
    tasks = np.array(tasks)
    stay = tasks[data.draw(st.lists(st.booleans(), min_size=len(tasks), max_size=len(tasks)))]
    before = tasks[np.argsort(random_key(tasks, seed=seed), kind="stable")]
    assert (
        before[np.isin(before, stay)].tolist() == stay[np.argsort(random_key(stay, seed=seed), kind="stable")].tolist()
    )


# With features


@pytest.mark.parametrize("order", [typical, coverage])
@pytest.mark.parametrize("others", [150, 50, 20])
def test_near_duplicates_do_not_fill_a_query(order, others):
    features = np.concatenate([alike(50), scattered(others, seed=1)])
    unsure = np.concatenate([np.full(50, 0.9), np.linspace(0.1, 0.6, others)])
    query = order(lane(features, uncertainty=unsure), 10)[:10]
    assert 1 <= (query < 50).sum() <= 2


def test_without_diversity_near_duplicates_fill_the_query():
    unsure = np.concatenate([np.full(50, 0.9), np.linspace(0.1, 0.6, 150)])
    assert (uncertain(lane(n=200, uncertainty=unsure), 10)[:10] < 50).all()


def test_typical_takes_one_image_of_each_group_the_largest_first():
    groups = np.repeat([0, 1, 2, 3], [25, 60, 5, 10])
    features = np.concatenate([alike(size, seed=seed) for seed, size in enumerate([25, 60, 5, 10])])
    assert groups[typical(lane(features), 4)[:4]].tolist() == [1, 0, 3, 2]


def test_covering_takes_the_most_uncertain_where_all_are_equally_unlike():
    unsure = np.random.default_rng(0).permutation(np.linspace(0.1, 0.9, 12))
    assert coverage(lane(np.eye(12), uncertainty=unsure), 5)[:5].tolist() == np.argsort(-unsure)[:5].tolist()


def test_covering_takes_what_the_model_is_unsure_of():
    unsure = np.where(np.arange(100) < 50, 0.9, 0.01)
    assert (coverage(lane(scattered(100), uncertainty=unsure), 10)[:10] < 50).all()


def test_covering_without_any_opinion_takes_typical_images():
    features = np.concatenate([alike(size, seed=seed) for seed, size in enumerate([10, 60, 30])])
    assert coverage(lane(features), 3)[:3].tolist() == typical(lane(features), 3)[:3].tolist()


@pytest.mark.parametrize("order", [typical, coverage])
def test_images_like_labelled_ones_come_late(order):
    group = np.repeat(range(10), 10)
    features = np.concatenate([alike(10, seed=seed) for seed in range(10)])
    some = lane(features, uncertainty=np.full(100, 0.5), labelled=features[::10][:4])
    query = order(some, 6)[:6]
    assert sorted(group[query].tolist()) == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("order", [typical, coverage, gradients])
def test_images_whose_features_are_unknown_go_last_but_are_served(order):
    features = scattered(40)
    features[::4] = np.nan
    some = lane(features, uncertainty=np.linspace(1, 0, 40), errors=scattered(40, seed=1, width=3), not_open=[1, 4])
    served = order(some, 100)
    assert len(served) == 38
    unknown = [position for position in range(0, 40, 4) if position != 4]
    assert served[-9:].tolist() == unknown  # most uncertain first
    assert not set(served[:-9].tolist()) & set(unknown)


@pytest.mark.parametrize("order", [typical, coverage])
def test_while_no_features_are_known_the_most_uncertain_come_first(order):
    some = lane(np.full((5, 3), np.nan), uncertainty=[0.1, 0.5, 0.3, np.nan, 0.4])
    assert order(some, 2).tolist() == [1, 4, 2, 0, 3]


@pytest.mark.parametrize("at_once", [1, 5, 10, 40])
def test_near_duplicates_do_not_fill_a_query_however_often_it_is_made_anew(at_once):
    """Forty groups of eight; the model is as unsure of what is labelled as of the rest."""
    group = np.repeat(range(40), 8)
    features = np.concatenate([alike(8, seed=seed) for seed in range(40)])
    errors = np.random.default_rng(9).normal(size=(40, 3))[group]
    query: list[int] = []
    while len(query) < 40:
        some = lane(features, errors=errors, not_open=query, query_size=40)
        query += gradients(some, 40 - len(query))[:at_once].tolist()
    assert len(set(group[query].tolist())) == 40


def test_a_part_of_a_lane_is_a_lane():
    features, errors = scattered(30), scattered(30, seed=1, width=3)
    unsure = np.random.default_rng(2).random(30)
    whole, members = lane(features, uncertainty=unsure, errors=errors, not_open=[4, 7]), np.array([9, 4, 2, 21])
    part = whole.part(members)
    for name in ("batch", "rank", "uncertainty", "random_key", "open"):
        assert getattr(part, name).tolist() == getattr(whole, name)[members].tolist()
    assert part.features(np.array([2])).tolist() == features[[2]].tolist()
    assert part.errors is not None and part.errors(np.array([3, 0])).tolist() == errors[[21, 9]].tolist()
    assert whole.part(np.arange(30)).predict is None


def test_known_are_the_positions_with_features():
    features = scattered(6)
    features[2, 0] = np.nan
    positions, values = known(lane(features, not_open=[0]), np.array([1, 2, 3, 4, 5]))
    assert positions.tolist() == [1, 3, 4, 5]
    assert (values == features[[1, 3, 4, 5]]).all()


def test_the_rest_is_sorted_by_uncertainty():
    some = lane(n=5, uncertainty=[0.1, 0.5, 0.3, np.nan, 0.4], not_open=[4])
    assert then_the_rest(np.array([0]), some).tolist() == [0, 1, 2, 3]
    assert then_the_rest(np.array([], dtype=np.int64), some).tolist() == [1, 2, 0, 3]


@st.composite
def any_lane(draw):
    m = draw(st.integers(0, 25))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    # Few distinct values: duplicates, and features that do not vary at all.
    features = rng.integers(0, draw(st.integers(1, 4)), (m, 3)).astype(np.float32)
    features[rng.random(m) < draw(st.sampled_from([0, 0.3, 1]))] = np.nan
    unsure = np.where(rng.random(m) < draw(st.sampled_from([0, 0.3, 1])), np.nan, rng.integers(0, 3, m) / 2)
    not_open = np.flatnonzero(rng.random(m) < draw(st.sampled_from([0, 0.4, 1])))
    return lane(
        features,
        rank=rng.permutation(m),
        uncertainty=unsure,
        errors=rng.integers(-1, 2, (m, 2)).astype(float) if draw(st.booleans()) else None,
        not_open=not_open,
        labelled=rng.integers(0, 3, (draw(st.integers(0, 4)), 3)),
        query_size=draw(st.integers(1, 30)),
    )


@pytest.mark.parametrize("order", OWN_ORDERS)
@settings(deadline=None)
@given(some=any_lane(), wanted=st.integers(0, 30))
def test_every_order_serves_every_open_image_once(order, some, wanted):
    served = order(some, wanted)
    assert sorted(served.tolist()) == np.flatnonzero(some.open).tolist()
    assert np.issubdtype(served.dtype, np.integer)


@settings(deadline=None)
@given(some=any_lane(), data=st.data())
def test_the_rest_follows_whatever_comes_first(some, data):
    is_open = np.flatnonzero(some.open).tolist()
    first = data.draw(st.permutations(is_open)) if is_open else []
    first = np.array(first[: data.draw(st.integers(0, len(first)))], dtype=np.int64)
    served = then_the_rest(first, some)
    assert served[: len(first)].tolist() == first.tolist()
    assert sorted(served.tolist()) == is_open


@pytest.mark.parametrize("order", OWN_ORDERS)
def test_the_same_lane_is_served_in_the_same_order(order):
    features, unsure = scattered(60), np.random.default_rng(3).random(60)
    one, two = (order(lane(features, uncertainty=unsure, labelled=scattered(5, seed=9)), 20) for _ in range(2))
    assert one.tolist() == two.tolist()
