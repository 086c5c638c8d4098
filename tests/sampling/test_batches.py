from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pt4al_backend.sampling.batches import cut, hardest_first, join, query_size_for
from pt4al_backend.sampling.orders import Order

ORDERS = get_args(Order)


def test_losses_are_sorted_as_numbers_not_as_text():
    # As text "9.5e-05" > "1.2" > "0.3": the error of the published code.
    losses = np.array([9.5e-05, 1.2, 0.3, 1.0e-05])
    assert hardest_first(losses, np.arange(4)).tolist() == [1, 2, 0, 3]


@pytest.mark.parametrize("texts", [["9.1e-05", "2.3"], ["9.1e-05", "10.5", "2.3"], ["9", "10"], ["8e-1", "1e+1"]])
def test_losses_whose_text_sorts_differently(texts):
    losses = np.array([float(text) for text in texts])
    served = hardest_first(losses, np.arange(len(losses))).tolist()
    assert served != sorted(range(len(texts)), key=texts.__getitem__, reverse=True)
    assert losses[served].tolist() == sorted(losses.tolist(), reverse=True)


@given(
    arrays(np.float32, st.integers(0, 40), elements=st.sampled_from([0, 1e-30, 9.1e-05, 1e-04, 0.5, 2.3, 10])),
    st.data(),
)
def test_the_sorted_pool_does_not_depend_on_how_it_was_listed(losses, data):
    ids = np.array(data.draw(st.permutations(range(len(losses)))), dtype=np.int64)
    served = hardest_first(losses, ids)
    assert sorted(served.tolist()) == list(range(len(losses)))
    assert ids[served].tolist() == ids[sorted(range(len(ids)), key=lambda k: (-losses[k], ids[k]))].tolist()
    again = hardest_first(losses[::-1], ids[::-1])
    assert ids[::-1][again].tolist() == ids[served].tolist()


def test_equal_losses_are_sorted_by_id():
    assert hardest_first(np.array([0.5, 0.5, 0.7]), np.array([9, 3, 5])).tolist() == [2, 1, 0]


@pytest.mark.parametrize("loss", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_a_number_is_refused(loss):
    with pytest.raises(ValueError, match="finite"):
        hardest_first(np.array([0.1, loss]), np.arange(2))


def test_orders_on_seven_images_in_three_batches():
    assert cut(7, cycles=3, order="hard_first", seed=0).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert cut(7, cycles=3, order="easy_first", seed=0).tolist() == [2, 2, 2, 1, 1, 0, 0]
    assert cut(7, cycles=3, order="round_robin", seed=0).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_shuffled_depends_on_the_seed_alone():
    one, two, other = (cut(100, cycles=10, order="shuffled", seed=seed) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()


@given(st.integers(0, 300), st.integers(1, 20), st.sampled_from(ORDERS), st.integers(0, 99))
def test_batches_have_equal_sizes_and_hold_every_image_once(n, cycles, order, seed):
    batch = cut(n, cycles=cycles, order=order, seed=seed)
    sizes = np.bincount(batch, minlength=cycles)
    assert np.issubdtype(batch.dtype, np.integer)
    assert len(batch) == sizes.sum() == n
    assert len(sizes) == cycles
    assert sizes.max() - sizes.min() <= 1


@given(st.integers(0, 300), st.integers(1, 20))
def test_hard_first_and_easy_first_are_reverses(n, cycles):
    hard, easy = (cut(n, cycles=cycles, order=order, seed=0) for order in ("hard_first", "easy_first"))
    assert (np.diff(hard) >= 0).all()  # no image of an earlier batch is easier than one of a later batch
    assert (easy == cycles - 1 - hard).all()


@given(st.integers(1, 300), st.integers(1, 20))
def test_each_round_robin_batch_spans_all_losses(n, cycles):
    batch = cut(n, cycles=cycles, order="round_robin", seed=0)
    for k in range(min(n, cycles)):
        ranks = np.flatnonzero(batch == k)
        assert ranks[0] < cycles
        assert ranks[-1] >= n - cycles
        assert (np.diff(ranks) == cycles).all()


@pytest.mark.parametrize("order", ["hard_first", "easy_first", "round_robin"])
def test_only_shuffled_depends_on_the_seed(order):
    one, other = (cut(100, cycles=7, order=order, seed=seed) for seed in (1, 2))
    assert (one == other).all()


@pytest.mark.parametrize("order", ORDERS)
def test_fewer_images_than_batches(order):
    assert len(set(cut(3, cycles=10, order=order, seed=0).tolist())) == 3


def test_late_images_join_the_batch_their_loss_belongs_to():
    losses, batches = np.array([0.9, 0.8, 0.5, 0.4, 0.2, 0.1]), np.array([0, 0, 1, 1, 2, 2])
    late = np.array([2.0, 0.85, 0.6, 0.3, 0.15, 0.01])
    assert join(late, losses, batches, cycles=3, order="hard_first").tolist() == [0, 0, 0, 1, 2, 2]


def test_late_images_of_round_robin_batches_fill_the_smallest():
    joined = join(np.array([0.1, 0.9]), np.zeros(5), np.array([0, 0, 1, 1, 2]), cycles=3, order="round_robin")
    assert joined.tolist() == [0, 2]


@given(arrays(float, st.integers(0, 50), elements=st.floats(0, 10)), st.integers(1, 9), st.sampled_from(ORDERS))
def test_join_always_names_a_batch_that_exists(late, cycles, order):
    batches = cut(40, cycles=cycles, order=order, seed=0)
    joined = join(late, np.linspace(5, 0, 40), batches, cycles=cycles, order=order)
    assert joined.dtype == np.int64
    assert joined.shape == late.shape
    assert ((joined >= 0) & (joined < cycles)).all()


@given(st.integers(0, 40), st.integers(1, 9), st.integers(0, 30), st.sampled_from(["round_robin", "shuffled"]))
def test_late_images_keep_batches_of_equal_size(n, cycles, late, order):
    batches = cut(n, cycles=cycles, order=order, seed=0)
    joined = join(np.linspace(0, 1, late), np.linspace(1, 0, n), batches, cycles=cycles, order=order)
    sizes = np.bincount(np.concatenate([batches, joined]).astype(int), minlength=cycles)
    assert sizes.max() - sizes.min() <= 1


@given(st.integers(1, 9), st.integers(0, 99))
def test_late_images_keep_sorted_batches_sorted(cycles, seed):
    rng = np.random.default_rng(seed)
    losses, late = np.sort(rng.random(40))[::-1], rng.random(15)
    batches = cut(40, cycles=cycles, order="hard_first", seed=0)
    everyone = np.concatenate([batches, join(late, losses, batches, cycles=cycles, order="hard_first")])
    assert (np.diff(everyone[np.argsort(-np.concatenate([losses, late]))]) >= 0).all()


def test_query_is_a_fifth_of_a_batch_within_bounds():
    assert [query_size_for(n, cycles=10) for n in (50_000, 5_000, 100, 1_000_000)] == [1000, 100, 10, 1000]


@given(st.integers(1, 2_000_000), st.integers(1, 1000))
def test_a_query_is_a_whole_number_of_images(pool, cycles):
    size = query_size_for(pool, cycles=cycles)
    assert type(size) is int
    assert 10 <= size <= 1000
    assert size <= max(10, pool / cycles / 5)
