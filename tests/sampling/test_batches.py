import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pt4al_backend.sampling.batches import cut, hardest_first, join, query_size_for


def test_losses_are_sorted_as_numbers_not_as_text():
    # As text "9.5e-05" > "1.2" > "0.3": the fault of the published code.
    losses = np.array([9.5e-05, 1.2, 0.3, 1.0e-05])
    assert hardest_first(losses, np.arange(4)).tolist() == [1, 2, 0, 3]


def test_equal_losses_are_sorted_by_id():
    assert hardest_first(np.array([0.5, 0.5, 0.7]), np.array([9, 3, 5])).tolist() == [2, 1, 0]


def test_a_loss_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="finite"):
        hardest_first(np.array([0.1, np.nan]), np.arange(2))


def test_orders_on_seven_images_in_three_batches():
    assert cut(7, cycles=3, order="hard_first", seed=0).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert cut(7, cycles=3, order="easy_first", seed=0).tolist() == [2, 2, 2, 1, 1, 0, 0]
    assert cut(7, cycles=3, order="dealt", seed=0).tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_shuffled_depends_on_the_seed_alone():
    one, two, other = (cut(100, cycles=10, order="shuffled", seed=seed) for seed in (1, 1, 2))
    assert (one == two).all()
    assert (one != other).any()


@given(st.integers(1, 300), st.integers(1, 20), st.sampled_from(["hard_first", "easy_first", "dealt", "shuffled"]))
def test_batches_have_equal_sizes_and_hold_every_image_once(n, cycles, order):
    sizes = np.bincount(cut(n, cycles=cycles, order=order, seed=3), minlength=cycles)
    assert sizes.sum() == n
    assert sizes.max() - sizes.min() <= 1


def test_late_images_join_the_batch_their_loss_belongs_to():
    losses, batches = np.array([0.9, 0.8, 0.5, 0.4, 0.2, 0.1]), np.array([0, 0, 1, 1, 2, 2])
    late = np.array([2.0, 0.85, 0.6, 0.3, 0.15, 0.01])
    assert join(late, losses, batches, cycles=3, order="hard_first").tolist() == [0, 0, 0, 1, 2, 2]


def test_late_images_of_dealt_batches_fill_the_smallest():
    joined = join(np.array([0.1, 0.9]), np.zeros(5), np.array([0, 0, 1, 1, 2]), cycles=3, order="dealt")
    assert joined.tolist() == [0, 2]


@given(arrays(float, st.integers(1, 50), elements=st.floats(0, 10)), st.integers(1, 9))
def test_join_always_names_a_batch_that_exists(late, cycles):
    batches = cut(40, cycles=cycles, order="hard_first", seed=0)
    joined = join(late, np.linspace(5, 0, 40), batches, cycles=cycles, order="hard_first")
    assert ((joined >= 0) & (joined < cycles)).all()


def test_query_is_a_fifth_of_a_batch_within_bounds():
    assert [query_size_for(n, cycles=10) for n in (50_000, 5_000, 100, 1_000_000)] == [1000, 100, 10, 1000]
