import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pt4al_backend.sampling.queue import LAST_PLACE, Pool, current_round, even, plan


def pool(batch, *, uncertainty=None, labelled=(), skipped=()):
    n = len(batch)
    marks = np.zeros((2, n), dtype=bool)
    marks[0, list(labelled)], marks[1, list(skipped)] = True, True
    return Pool(
        batch=np.array(batch),
        rank=np.arange(n),
        uncertainty=np.full(n, np.nan) if uncertainty is None else np.array(uncertainty, dtype=float),
        labelled=marks[0],
        skipped=marks[1],
    )


def test_the_cold_start_takes_images_at_even_distances():
    assert even(10, 3).tolist()[:3] == [0, 3, 6]
    assert even(4, 9).tolist() == [0, 1, 2, 3]


def test_round_0_follows_the_cold_start_and_ignores_the_model():
    chosen = plan(pool([0] * 6 + [1] * 6, uncertainty=range(12)), cycles=2, query_size=3, slack=2)
    assert chosen.round == 0
    assert chosen.window.tolist() == [0, 2, 4, 11, 10]  # even distances, then batch 1's most uncertain


def test_later_rounds_take_the_most_uncertain_of_their_batch():
    uncertainty = [0, 0, 0, 0.1, 0.9, 0.5, 0.2, 0.3, 0.4]
    chosen = plan(
        pool([0, 0, 0, 1, 1, 1, 2, 2, 2], uncertainty=uncertainty, labelled=[0, 1]), cycles=3, query_size=2, slack=1
    )
    assert chosen.round == 1
    assert chosen.window.tolist() == [4, 5, 8]


def test_labels_of_the_round_shorten_its_query():
    chosen = plan(pool([0] * 4 + [1] * 4, labelled=[0]), cycles=2, query_size=2, slack=1)
    assert chosen.window.tolist() == [2, 4]


def test_a_skipped_image_leaves_the_queue_and_is_replaced():
    chosen = plan(pool([0] * 4 + [1] * 4, skipped=[0]), cycles=2, query_size=2, slack=1)
    assert 0 not in chosen.window
    assert len(chosen.window) == 3
    assert chosen.scores[0] == LAST_PLACE


def test_labels_given_out_of_turn_count_for_their_own_batch():
    everything_but_batch_1 = [0, 1, 4, 5]
    chosen = plan(pool([0, 0, 1, 1, 2, 2], labelled=everything_but_batch_1), cycles=3, query_size=1, slack=1)
    assert chosen.round == 1


def test_a_query_larger_than_its_batch_ends_with_the_batch():
    assert current_round(pool([0, 0, 1, 1], labelled=[0, 1]), cycles=2, query_size=5) == 1


def test_a_batch_that_was_all_skipped_is_passed():
    assert current_round(pool([0, 0, 1, 1], skipped=[0, 1]), cycles=2, query_size=1) == 1


def test_a_deleted_label_reopens_its_round():
    assert current_round(pool([0, 0, 1, 1], labelled=[0, 2]), cycles=2, query_size=1) == 2
    assert current_round(pool([0, 0, 1, 1], labelled=[2]), cycles=2, query_size=1) == 0


def test_behind_the_last_batch_the_rest_is_one_pool():
    uncertainty = [0, 0.5, 0, 0.9, 0.1]
    chosen = plan(pool([0, 0, 1, 1, 0], uncertainty=uncertainty, labelled=[0, 2]), cycles=2, query_size=1, slack=1)
    assert chosen.round == 2
    assert chosen.window.tolist() == [3, 1]


def test_when_everything_is_labelled_the_window_is_empty():
    assert len(plan(pool([0, 1], labelled=[0, 1]), cycles=2, query_size=1, slack=5).window) == 0


def test_slack_goes_on_into_further_batches():
    chosen = plan(pool([0, 1, 2, 3]), cycles=4, query_size=1, slack=3)
    assert chosen.window.tolist() == [0, 1, 2, 3]


@settings(deadline=None)
@given(st.data())
def test_scores_put_the_window_first_and_in_order(data):
    n, cycles = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 6))
    draw_marks = st.sets(st.integers(0, n - 1))
    a_pool = pool(
        np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, cycles, n),
        uncertainty=[data.draw(st.floats(0, 1)) for _ in range(n)],
        labelled=data.draw(draw_marks),
        skipped=data.draw(draw_marks),
    )
    chosen = plan(a_pool, cycles=cycles, query_size=data.draw(st.integers(1, 20)), slack=3)
    served = chosen.scores[chosen.window]
    assert (np.diff(served) > 0).all()
    assert len(set(chosen.window.tolist())) == len(chosen.window)
    assert a_pool.open[chosen.window].all()
    assert a_pool.open.any() == (len(chosen.window) > 0)
    assert ((chosen.scores >= 0) & (chosen.scores <= LAST_PLACE)).all()
