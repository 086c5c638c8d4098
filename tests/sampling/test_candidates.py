import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.candidates import candidates, scattered

from pt4al_backend.sampling.candidates import InvalidQuery, random_key


def test_most_uncertain_first_and_images_without_a_prediction_last_by_rank():
    images = candidates(n=6, uncertainty=[0.1, np.nan, 0.9, np.nan, 0.5, 0.0], rank=[5, 4, 3, 2, 1, 0])
    assert images.most_uncertain_first().tolist() == [2, 4, 0, 5, 3, 1]


def test_equal_uncertainties_are_sorted_by_rank():
    images = candidates(n=3, uncertainty=[0.5, 0.5, 0.5], rank=[2, 0, 1])
    assert images.most_uncertain_first().tolist() == [1, 2, 0]


def test_a_subset_of_candidates():
    embeddings, gradients = scattered(30), scattered(30, seed=1, width=3)
    embeddings[2] = np.nan
    unsure = np.random.default_rng(2).random(30)
    whole = candidates(embeddings, uncertainty=unsure, gradients=gradients, not_open=[4, 7])
    members = np.array([9, 4, 2, 21])
    part = whole[members]
    assert len(part) == 4
    for name in ("pool_positions", "batch", "rank", "uncertainty", "random_key", "open"):
        assert getattr(part, name).tolist() == getattr(whole, name)[members].tolist()
    assert part.known.tolist() == [0, 1, 3]
    assert (part.embeddings[part.known] == embeddings[[9, 4, 21]]).all()
    assert part.gradients is not None
    assert part.gradients[part.known] == pytest.approx(gradients[[9, 4, 21]])
    again = part[np.array([3, 0])]
    assert (again.embeddings == embeddings[[21, 9]]).all()


def test_expensive_data_is_computed_once_and_only_if_it_is_used():
    asked = []

    class Source:
        def embeddings(self, positions):
            asked.append(positions.tolist())
            return np.zeros((len(positions), 2))

    images = candidates(n=9)
    object.__setattr__(images, "source", Source())
    part = images[np.array([7, 3])]
    part.serving_order(np.array([1]))
    assert asked == []
    assert part.known.tolist() == [0, 1]
    assert part.embeddings.shape == (2, 2)
    assert asked == [[7, 3]]


def test_without_a_label_there_is_no_gradient():
    assert candidates(n=3).gradients is None


def test_the_rest_follows_sorted_by_uncertainty():
    images = candidates(n=5, uncertainty=[0.1, 0.5, 0.3, np.nan, 0.4], not_open=[4])
    assert images.serving_order(np.array([0])).tolist() == [0, 1, 2, 3]
    assert images.serving_order(np.array([])).tolist() == [1, 2, 0, 3]


@settings(deadline=None)
@given(st.integers(0, 25), st.integers(0, 999), st.data())
def test_the_rest_follows_any_query(m, seed, data):
    rng = np.random.default_rng(seed)
    unsure = np.where(rng.random(m) < 0.3, np.nan, rng.integers(0, 3, m) / 2)
    images = candidates(n=m, uncertainty=unsure, rank=rng.permutation(m), not_open=np.flatnonzero(rng.random(m) < 0.3))
    is_open = np.flatnonzero(images.open).tolist()
    query = data.draw(st.permutations(is_open)) if is_open else []
    query = query[: data.draw(st.integers(0, len(query)))]
    served = images.serving_order(np.array(query, dtype=np.int64))
    assert served[: len(query)].tolist() == query
    assert sorted(served.tolist()) == is_open
    assert served.dtype == np.int64


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ([0, 1, 0], "a position twice"),
        ([4], "cannot be labelled"),
        ([5], "cannot be labelled"),
        ([-1], "cannot be labelled"),
        ([0.0, 1.0], "an array of positions"),
        ([True, False, True, True, False], "an array of positions"),
        ([[0, 1]], "an array of positions"),
        (None, "an array of positions"),
        (["first"], "an array of positions"),
    ],
)
def test_an_invalid_query_is_refused(query, says):
    with pytest.raises(InvalidQuery, match=says):
        candidates(n=5, not_open=[4]).serving_order(query)


# Random keys


@pytest.mark.parametrize("seed", [0, 1, 2, 12345, 2**40])
def test_random_keys_are_roughly_uniform(seed):
    values = random_key(np.arange(1, 10_001), seed=seed)
    assert ((values >= 0) & (values < 1)).all()
    assert len(set(values.tolist())) == len(values)
    counts = np.histogram(values, bins=20, range=(0, 1))[0]
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500)
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.05  # neighbours are uncorrelated


def test_the_key_of_a_task_is_independent_of_other_tasks():
    everybody = random_key(np.arange(1000), seed=1)
    tasks = np.array([990, 3, 500, 7])
    assert random_key(tasks, seed=1).tolist() == everybody[tasks].tolist()
    assert random_key(tasks.astype(np.int32), seed=1).tolist() == everybody[tasks].tolist()
    assert random_key(np.array([3]), seed=1).tolist() == everybody[[3]].tolist()
    assert len(random_key(np.array([], dtype=np.int64), seed=1)) == 0


def test_random_keys_change_with_the_seed():
    tasks = np.arange(1, 2001)
    drawn = np.array([random_key(tasks, seed=seed) for seed in range(6)])
    between = np.corrcoef(drawn)[np.triu_indices(6, 1)]
    assert np.abs(between).max() < 0.1


@given(st.lists(st.integers(1, 2**53), unique=True, min_size=2, max_size=50), st.integers(0, 2**63), st.data())
def test_deleted_tasks_do_not_change_the_order_of_the_others(tasks, seed, data):
    tasks = np.array(tasks)
    stay = tasks[data.draw(st.lists(st.booleans(), min_size=len(tasks), max_size=len(tasks)))]
    before = tasks[np.argsort(random_key(tasks, seed=seed), kind="stable")]
    assert (
        before[np.isin(before, stay)].tolist() == stay[np.argsort(random_key(stay, seed=seed), kind="stable")].tolist()
    )
