import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.candidates import candidates

from pt4al_backend.sampling import evenly_spaced, uncertainty_sampling
from pt4al_backend.sampling.queue import (
    HELD_OUT_EVERY,
    LAST_PLACE,
    MOST_PUBLISHED,
    Pool,
    Queue,
    build,
    current_round,
    next_round,
    with_copies,
    with_held_out,
)


def pool(batch, *, labelled=(), skipped=()):
    n = len(batch)
    marks = np.zeros((2, n), dtype=bool)
    marks[0, list(labelled)], marks[1, list(skipped)] = True, True
    return Pool(batch=np.array(batch), labelled=marks[0], skipped=marks[1])


def plan(a_pool, *, cycles, query_size, slack, uncertainty=None, at_once=False):
    """PT4AL as published: evenly spaced in round 0, then by uncertainty; the pool is sorted by loss."""
    now = next_round(a_pool, cycles=cycles, query_size=query_size)
    everything = candidates(
        n=len(a_pool.batch), uncertainty=uncertainty, not_open=np.flatnonzero(~a_pool.open), query_size=query_size
    )
    members = everything[now.members]
    strategy = uncertainty_sampling if now.number else evenly_spaced
    query = members.serving_order(strategy.query(members, now.wanted(slack=slack, at_once=at_once)))
    orders = [now.members[query], *(batch[everything[batch].most_uncertain_first()] for batch in now.ahead)]
    return Planned(now.number, build(now, orders, pool_size=len(a_pool.batch), slack=slack))


class Planned:
    """The number of a round and its queue."""

    def __init__(self, number, queue):
        self.round, self.query, self.window, self.scores = number, queue.query, queue.window, queue.scores


def test_round_0_follows_the_cold_start_and_ignores_the_model():
    chosen = plan(pool([0] * 6 + [1] * 6), uncertainty=range(12), cycles=2, query_size=3, slack=2)
    assert chosen.round == 0
    assert chosen.window.tolist() == [0, 2, 4, 11, 10]  # even distances, then batch 1's most uncertain


def test_later_rounds_take_the_most_uncertain_of_their_batch():
    uncertainty = [0, 0, 0, 0.1, 0.9, 0.5, 0.2, 0.3, 0.4]
    chosen = plan(
        pool([0, 0, 0, 1, 1, 1, 2, 2, 2], labelled=[0, 1]), uncertainty=uncertainty, cycles=3, query_size=2, slack=1
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


def test_labels_out_of_order_count_for_their_own_batch():
    everything_but_batch_1 = [0, 1, 4, 5]
    chosen = plan(pool([0, 0, 1, 1, 2, 2], labelled=everything_but_batch_1), cycles=3, query_size=1, slack=1)
    assert chosen.round == 1


def test_a_query_larger_than_its_batch_ends_with_the_batch():
    assert current_round(pool([0, 0, 1, 1], labelled=[0, 1]), cycles=2, query_size=5) == 1


def test_a_fully_skipped_batch_is_passed_over():
    assert current_round(pool([0, 0, 1, 1], skipped=[0, 1]), cycles=2, query_size=1) == 1


def test_a_deleted_label_reopens_its_round():
    assert current_round(pool([0, 0, 1, 1], labelled=[0, 2]), cycles=2, query_size=1) == 2
    assert current_round(pool([0, 0, 1, 1], labelled=[2]), cycles=2, query_size=1) == 0


def test_after_the_last_batch_the_rest_is_one_pool():
    uncertainty = [0, 0.5, 0, 0.9, 0.1]
    chosen = plan(pool([0, 0, 1, 1, 0], labelled=[0, 2]), uncertainty=uncertainty, cycles=2, query_size=1, slack=1)
    assert chosen.round == 2
    assert chosen.window.tolist() == [3, 1]


def test_after_the_last_batch_a_round_is_a_full_query():
    rounds = [current_round(pool([0] * 9, labelled=range(n)), cycles=1, query_size=2) for n in range(7)]
    assert rounds == [0, 0, 1, 1, 2, 2, 3]


def test_when_everything_is_labelled_the_window_is_empty():
    assert len(plan(pool([0, 1], labelled=[0, 1]), cycles=2, query_size=1, slack=5).window) == 0


def test_the_buffer_continues_into_later_batches():
    chosen = plan(pool([0, 1, 2, 3]), cycles=4, query_size=1, slack=3)
    assert chosen.window.tolist() == [0, 1, 2, 3]


def test_the_buffer_of_the_last_batch_comes_from_earlier_ones():
    uncertainty = [0, 0.2, 0.3, 0.9, 0.5]
    chosen = plan(pool([0, 0, 0, 1, 1], labelled=[0]), uncertainty=uncertainty, cycles=2, query_size=1, slack=2)
    assert chosen.window.tolist() == [3, 2, 1]


def test_the_buffer_of_a_whole_pool_comes_from_the_pool():
    chosen = plan(pool([0] * 6), cycles=1, query_size=2, slack=2)
    assert chosen.window.tolist() == [0, 3, 1, 2]
    assert (np.diff(chosen.scores[chosen.window]) > 0).all()


def test_when_other_batches_run_out_the_buffer_comes_from_the_querys_own():
    uncertainty = [0, 0.5, 0.9, 0.8, 0.7, 0.6]
    chosen = plan(pool([0, 0, 1, 1, 1, 1], labelled=[0]), uncertainty=uncertainty, cycles=2, query_size=1, slack=3)
    assert chosen.window[0] == 2
    assert sorted(chosen.window.tolist()) == [1, 2, 3, 4]
    assert (np.diff(chosen.scores[chosen.window]) > 0).all()  # Label Studio serves them in the same order


def test_a_large_query_is_published_in_parts():
    chosen = plan(pool([0] * 1000), cycles=1, query_size=500, slack=20)
    assert len(chosen.window) == MOST_PUBLISHED
    assert len(plan(pool([0] * 1000), cycles=1, query_size=500, slack=300).window) == 300


def test_a_query_is_taken_from_the_rounds_batch_and_then_the_rest():
    a_pool = pool([0, 0, 1, 1, 1, 2, 2], labelled=[0, 2])

    def due(a_pool, **numbers):
        now = next_round(a_pool, **numbers)
        return now.number, now.members.tolist(), [batch.tolist() for batch in now.ahead], now.left

    assert due(a_pool, cycles=3, query_size=2) == (0, [0, 1], [[2, 3, 4], [5, 6], []], 1)
    assert due(a_pool, cycles=3, query_size=1) == (2, [5, 6], [[0, 1, 2, 3, 4]], 1)
    assert due(pool([0, 0, 0], labelled=[0]), cycles=1, query_size=1) == (1, [0, 1, 2], [], 1)
    assert due(pool([0, 0, 0], labelled=[0]), cycles=1, query_size=3) == (0, [0, 1, 2], [[]], 2)


def test_no_more_images_are_requested_than_are_published():
    now = next_round(pool([0] * 400), cycles=1, query_size=300)
    assert now.wanted(slack=20, at_once=False) == MOST_PUBLISHED
    assert now.wanted(slack=200, at_once=False) == 200
    assert next_round(pool([0] * 400), cycles=1, query_size=30).wanted(slack=20, at_once=False) == 50


def test_a_query_chosen_at_once_is_all_that_is_left_of_it():
    a_pool = pool([0] * 400, labelled=range(40))
    assert next_round(a_pool, cycles=1, query_size=300).wanted(slack=20, at_once=True) == 260
    assert (
        plan(a_pool, cycles=1, query_size=300, slack=20, at_once=True).query.tolist()
        == plan(a_pool, cycles=1, query_size=300, slack=400).window[:260].tolist()
    )


@settings(deadline=None)
@given(st.data())
def test_scores_put_the_window_first_and_in_order(data):
    n, cycles = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 6))
    draw_marks, slack = st.sets(st.integers(0, n - 1)), data.draw(st.integers(1, 30))
    a_pool = pool(
        np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, cycles, n),
        labelled=data.draw(draw_marks),
        skipped=data.draw(draw_marks),
    )
    chosen = plan(
        a_pool,
        uncertainty=[data.draw(st.floats(0, 1)) for _ in range(n)],
        cycles=cycles,
        query_size=data.draw(st.integers(1, 20)),
        slack=slack,
    )
    served = chosen.scores[chosen.window]
    assert (np.diff(served) > 0).all()
    assert len(set(chosen.window.tolist())) == len(chosen.window)
    assert a_pool.open[chosen.window].all()
    assert len(chosen.window) >= min(slack, a_pool.open.sum())  # the window is never empty while images are open
    assert a_pool.open.any() == (len(chosen.window) > 0)
    assert ((chosen.scores >= 0) & (chosen.scores <= LAST_PLACE)).all()
    assert (chosen.scores[~a_pool.open] == LAST_PLACE).all()


@given(
    others=st.integers(0, 30),
    held_out=st.integers(0, 20),
    labelled=st.integers(0, 50),
    slack=st.sampled_from([1, 20, 100]),
)
def test_one_image_in_four_is_held_out_and_scores_stay_in_serving_order(others, held_out, labelled, slack):
    scores = np.full(others + held_out, LAST_PLACE)
    scores[:others] = np.arange(others) / max(others, 1) / 3
    queue = Queue(np.arange(others), np.arange(others), scores)
    served = with_held_out(queue, np.arange(others, others + held_out), labelled=labelled, slack=slack)
    assert len(served.window) == min(others + held_out, max(MOST_PUBLISHED, slack)) or not held_out
    assert (np.diff(served.scores[served.window]) > 0).all() and (served.scores[served.window] < LAST_PLACE).all()
    of_others = served.window[served.window < others]
    assert (of_others == np.arange(len(of_others))).all()
    for place, position in enumerate(served.window[: 4 * held_out]):
        if place < len(of_others):
            assert (position >= others) == ((labelled + place) % HELD_OUT_EVERY == 0)


def test_a_held_out_image_comes_to_the_front_as_others_are_labelled():
    scores = np.append(np.arange(10) / 10, LAST_PLACE)
    fronts = []
    for labelled in range(200, 208):
        served = with_held_out(Queue(np.arange(10), np.arange(10), scores), np.array([10]), labelled=labelled, slack=1)
        fronts.append(int(served.window[0]))
    assert fronts == [10, 0, 0, 0, 10, 0, 0, 0]


def test_copies_come_after_everything_else_and_fill_a_short_window():
    scores = np.array([0.2, LAST_PLACE, 0.9, LAST_PLACE, LAST_PLACE])  # 1 and 3 wait, 4 is labelled
    served = with_copies(Queue(np.array([0]), np.array([0, 2]), scores), np.array([3, 1]), slack=3)
    assert served.window.tolist() == [0, 2, 3] and served.query.tolist() == [0]
    assert np.argsort(served.scores).tolist() == [0, 2, 3, 1, 4] and served.scores[1] < LAST_PLACE
    full = with_copies(Queue(np.array([0]), np.array([0, 2]), scores), np.array([3, 1]), slack=2)
    assert full.window.tolist() == [0, 2]
    alone = with_copies(Queue(np.array([], int), np.array([], int), scores * 0 + LAST_PLACE), np.array([3, 1]), slack=5)
    assert alone.window.tolist() == [3, 1]
