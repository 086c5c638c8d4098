import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.candidates import candidates

from pt4al_backend.sampling import evenly_spaced
from pt4al_backend.sampling.evenly_spaced import at_even_distances


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
    hardest_last = candidates(n=6, rank=[5, 4, 3, 2, 1, 0], query_size=3)
    assert evenly_spaced.query(hardest_last, 3).tolist() == [5, 3, 1, 4, 2, 0]


def test_a_label_does_not_move_the_rest_of_the_cold_start():
    assert evenly_spaced.query(candidates(n=6, query_size=3, not_open=[2]), 2).tolist() == [0, 4, 1, 3, 5]
