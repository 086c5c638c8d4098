"""From predictions to the queue, on a pool whose embeddings are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.rig import Rig
from support.small_pool import BATCHES, CLASS, KIND, N, pool, predictions

from pt4al_backend.active_learning.pool_predictions import Preview
from pt4al_backend.active_learning.rank_pool import OPENED, PREVIEWED, Ranked, rank
from pt4al_backend.active_learning.schedule import schedule
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.questions import Prediction
from pt4al_backend.sampling import queue
from pt4al_backend.sampling.queue import LAST_PLACE
from pt4al_backend.sampling.strategies import STRATEGIES
from pt4al_backend.sampling.strategy import Strategy
from pt4al_backend.settings import Settings
from pt4al_backend.store.tables import Project

PROJECT = Project(cycles=BATCHES, query_size=4, dense=False)
FIRST_ROUND = [0, 3, 6, 9]
"""Labels that complete round 0."""


def ranked(
    directory: Path,
    labelled: Sequence[int] = FIRST_ROUND,
    *,
    skipped: Sequence[int] = (),
    how: Any = None,
    **settings: Any,
) -> Ranked:
    a_pool, chosen = pool(labelled, skipped), Settings(slack=3, **{"diversity": "off"} | settings)
    found = predictions(directory, a_pool)
    return rank(a_pool, found, schedule(a_pool, PROJECT, chosen), chosen, **how or {})


def tasks(found: Ranked) -> list[int]:
    return [pick.task for pick in found.window.picks]


def test_the_most_uncertain_of_the_rounds_batch_and_a_buffer_behind_them(tmp_path: Path) -> None:
    found = ranked(tmp_path)
    a_pool = pool(FIRST_ROUND)
    uncertainty = predictions(tmp_path, a_pool).uncertainty
    of_batch = [np.flatnonzero(a_pool.batch == batch) for batch in (1, 2)]
    now, after = ([int(k) + 100 for k in sorted(members, key=lambda k: -uncertainty[k])] for members in of_batch)
    assert found.round == 1
    assert found.query.tolist() == now[:4]
    assert tasks(found) == now[:4] + after[:3]
    scores = [pick.score for pick in found.window.picks]
    assert (
        scores == sorted(scores)
        and scores
        == found.arrays.score[np.isin(a_pool.task, tasks(found))][np.argsort(np.argsort(tasks(found)))].tolist()
    )
    assert found.window.version.startswith("pt4al-r1-n4-")


def test_what_is_labelled_or_skipped_has_the_last_place(tmp_path: Path) -> None:
    found = ranked(tmp_path, skipped=[1])
    assert np.flatnonzero(found.arrays.score == LAST_PLACE).tolist() == [0, 1, 3, 6, 9]
    assert 101 not in tasks(found)


def test_the_strategy_is_asked_once_for_the_query_and_its_buffer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []

    def query(candidates: Any, n: int) -> NDArray[np.int64]:
        asked.append((len(candidates), n))
        return np.flatnonzero(candidates.open)[::-1][:2]

    monkeypatch.setitem(STRATEGIES, "random", Strategy(query))
    found = ranked(tmp_path, strategy="random")
    assert asked == [(N, 4 + 3)]
    assert tasks(found)[:2] == [N + 99, N + 98]  # the rest follows
    assert len(tasks(found)) == 7
    monkeypatch.setitem(STRATEGIES, "random", Strategy(query, at_once=True))
    ranked(tmp_path, strategy="random")
    assert asked[1:] == [(N, 4)]


def test_a_query_that_is_kept_is_served_on_without_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def query(candidates: Any, n: int) -> NDArray[np.int64]:
        raise AssertionError("it was asked")

    monkeypatch.setitem(STRATEGIES, "random", Strategy(query, at_once=True))
    kept = np.array([120, 103, 999, 107, 111])  # one is labelled, one is gone
    found = ranked(tmp_path, strategy="random", how={"kept": kept})
    assert tasks(found)[:3] == [120, 107, 111]


@pytest.mark.parametrize(
    ("returned", "says"),
    [
        (lambda some: np.flatnonzero(~some.open), "returned positions of images that cannot be labelled"),
        (lambda some: np.array([1, 1]), "returned a position twice"),
        (lambda some: some.uncertainty, "did not return an array of positions"),
    ],
)
def test_a_strategy_that_returns_no_query_is_told_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, returned: Callable[[Any], Any], says: str
) -> None:
    monkeypatch.setitem(STRATEGIES, "random", Strategy(lambda candidates, n: returned(candidates)))
    with pytest.raises(PT4ALError, match=f"The strategy random {says}: fix it, or choose another"):
        ranked(tmp_path, strategy="random")


def test_images_that_somebody_may_have_open_stay_beside_the_window(tmp_path: Path) -> None:
    window = set(tasks(ranked(tmp_path)))
    outside = [task for task in range(100, 100 + N) if task not in window | {100, 103, 106, 109}]
    found = ranked(tmp_path, how={"opened": [103, *window, *outside[::-1]]})
    assert [pick.task for pick in found.window.opened] == sorted(outside[::-1][:OPENED])
    assert {pick.score for pick in found.window.opened} == {LAST_PLACE}
    assert set(tasks(found)) == window


def test_each_image_carries_what_is_predicted(tmp_path: Path) -> None:
    found = ranked(tmp_path)
    right = [pick.predictions["kind"].value == KIND.classes[CLASS[pick.task - 100]] for pick in found.window.picks]
    assert len(right) == 7 and np.mean(right) > 0.5
    assert all(pick.predictions == {} for pick in ranked(tmp_path, preannotate=False).window.picks)


def test_masks_are_drawn_for_the_front_and_for_what_is_open(tmp_path: Path) -> None:
    asked: list[list[int]] = []

    def previews(positions: NDArray[np.int64]) -> list[Preview]:
        asked.append(positions.tolist())
        return [Preview({"mask": Prediction(str(position), 0.5)}, 30, 20) for position in positions.tolist()]

    found = ranked(tmp_path, how={"opened": [123], "previews": previews})
    picks = [*found.window.picks, *found.window.opened]
    assert asked == [[pick.task - 100 for pick in picks]] and len(picks) <= PREVIEWED + 1
    for pick in picks:
        assert pick.predictions["mask"].value == str(pick.task - 100) and "kind" in pick.predictions
        assert (pick.width, pick.height) == (30, 20)


def test_when_nothing_is_open_the_window_is_empty(tmp_path: Path) -> None:
    found = ranked(tmp_path, list(range(N)), how={"opened": [103]})
    assert found.window.picks == () and found.window.opened == () and len(found.query) == 0


def test_first_queue_is_the_cold_start_of_batch_0(settled):
    pool, window = settled.pool(), settled.platform.published[0]
    members = np.flatnonzero(pool.batch == 0)
    by_rank = members[np.argsort(pool.rank[members])]
    assert [pick.task for pick in window.picks[:6]] == pool.task[by_rank[::5]].tolist()
    assert len(window.picks) == 6 + 5
    assert np.diff([pick.score for pick in window.picks]).min() > 0


def test_an_image_that_may_be_open_keeps_a_prediction_behind_the_window(tmp_path):
    rig = Rig(tmp_path, n=60, train_growth=0)
    rig.settle()
    left = rig.platform.queue[0]  # somebody opens it, while others label the rest of the round as they like
    pool = rig.pool()
    for task in [task for task in pool.task[pool.batch == 0].tolist() if task != left][:6]:
        rig.platform.label(task)
    rig.sync()
    window = rig.platform.published[-1]
    tasks, opened = [[pick.task for pick in picks] for picks in (window.picks, window.opened)]
    assert rig.project.round == 1
    assert left in opened and not set(tasks) & set(opened) and len(opened) <= OPENED
    assert all(pick.score == queue.LAST_PLACE and pick.predictions for pick in window.opened)
    assert rig.project.published == tasks
    published = len(rig.platform.published)
    rig.loop._stale = True
    rig.sync()
    assert len(rig.platform.published) == published, "the same order is not published again"
    rig.platform.label(left)
    rig.sync()
    assert left not in [pick.task for pick in rig.platform.published[-1].opened]
    rig.close()
