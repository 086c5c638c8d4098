"""From what the model predicts for the pool to the queue: rank the pool and choose the window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.candidate_source import candidates_of
from pt4al_backend.active_learning.explain import Reason, explain
from pt4al_backend.active_learning.pool_predictions import PoolPredictions, Preview, Previews
from pt4al_backend.active_learning.publish import version_name
from pt4al_backend.active_learning.schedule import Schedule
from pt4al_backend.assessment.duplicates import Asked
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.platform import Pick, Window
from pt4al_backend.sampling import queue
from pt4al_backend.sampling.candidates import Candidates, InvalidQuery, Positions
from pt4al_backend.settings import Settings
from pt4al_backend.store.pool_scores import RankingArrays
from pt4al_backend.store.store import PoolArrays

PREVIEWED = 20
"""Images at the front of a window that are published with a mask: each costs time, and all are published again
long before the others come to the front."""

OPENED = 10
"""Images at most that are published beside a window because somebody may have them open."""


@dataclass(frozen=True)
class Ranked:
    """The pool in order: for `/predict`, and for the queue."""

    round: int
    query: NDArray[np.int64]
    """Tasks that are left of the round's query, in serving order."""
    arrays: RankingArrays
    window: Window
    reasons: tuple[Reason, ...]
    """Why each image of the window is in it."""


def rank(
    pool: PoolArrays,
    predictions: PoolPredictions,
    schedule: Schedule,
    settings: Settings,
    *,
    asked: Asked | None = None,
    kept: NDArray[np.int64] | None = None,
    opened: Sequence[int] = (),
    previews: Previews | None = None,
) -> Ranked:
    """Sort the pool and choose the window.

    Args:
        pool: the images: all in batches, or none, as for `schedule`.
        predictions: what the model predicts for them.
        schedule: the round, and the strategy that chooses its query.
        settings: the project's.
        asked: which near-duplicates wait; None: none does.
        kept: a query that was chosen as a whole, task ids in serving order, instead of asking the strategy.
        opened: tasks that somebody may have open, the likeliest first.
        previews: draws masks.

    Raises:
        PT4ALError: the strategy returns something else than positions of open images.
    """
    now = schedule.round
    everything = candidates_of(pool, predictions, query_size=schedule.query_size, round=now.number, seed=settings.seed)
    waits = np.zeros(len(pool), dtype=bool) if asked is None else asked.waits
    copies = replace(everything, open=waits).most_uncertain_first()
    everything = replace(everything, open=everything.open & ~waits)
    members = everything[now.members]
    if kept is None:
        first = _query(schedule, members, settings.slack)
    else:
        first = _left_of(kept, pool.task[now.members], members)
    later = [batch[everything[batch].most_uncertain_first()] for batch in now.ahead]
    served = queue.build(now, [now.members[first], *later], pool_size=len(pool), slack=settings.slack)
    unseen = pool.open & pool.held_out
    served = queue.with_held_out(
        served, np.flatnonzero(unseen & ~waits), labelled=int(pool.labelled.sum()), slack=settings.slack
    )
    served = queue.with_copies(served, copies, slack=settings.slack)
    arrays = RankingArrays(pool.task, served.scores, tuple(each.without(unseen) for each in predictions.arrays))
    beside = _beside(pool, served.window, opened)
    front = np.concatenate([served.window[:PREVIEWED], beside])
    drawn = _drawn(front[~unseen[front]], previews)
    pick = _picking(arrays, predictions, settings, drawn)
    picks = tuple(pick(position, float(served.scores[position])) for position in served.window.tolist())
    left = tuple(pick(position, queue.LAST_PLACE) for position in beside.tolist()) if picks else ()
    version = version_name(now.number, int(pool.labelled.sum()), picks + left)
    reasons = tuple(explain(pool, predictions, served.window, asked))
    return Ranked(now.number, pool.task[served.query], arrays, Window(version, picks, left), reasons)


def _query(schedule: Schedule, members: Candidates, slack: int) -> Positions:
    """The open candidates as the strategy serves them."""
    strategy, now = schedule.strategy, schedule.round
    query = strategy.query_of(now.number)
    try:
        return members.serving_order(query(members, now.wanted(slack=slack, at_once=strategy.at_once)))
    except InvalidQuery as error:
        raise PT4ALError(
            f"The strategy {schedule.name} {error}: fix it, or choose another with PT4AL_STRATEGY."
        ) from error


def _left_of(kept: NDArray[np.int64], tasks: NDArray[np.int64], members: Candidates) -> Positions:
    """The open candidates, those of the tasks in `kept` first; `tasks` (m,) are the candidates'."""
    place = {task: position for position, task in enumerate(tasks.tolist())}
    first = np.array([place[task] for task in kept.tolist() if task in place], dtype=np.int64)
    return members.serving_order(first[members.open[first]])


def _drawn(front: Positions, previews: Previews | None) -> dict[int, Preview]:
    """What is drawn on these images, by position."""
    return dict(zip(front.tolist(), previews(front), strict=True)) if previews else {}


def _picking(
    arrays: RankingArrays, predictions: PoolPredictions, settings: Settings, drawn: dict[int, Preview]
) -> Callable[[int, float], Pick]:
    """An image of the window, from its position in the pool and its score."""

    def pick(position: int, score: float) -> Pick:
        preview = drawn.get(position, Preview({}, 0, 0))
        shown = arrays.predictions_at(position, predictions.questions) | preview.predictions
        return Pick(
            task=int(arrays.task[position]),
            score=score,
            predictions=shown if settings.preannotate else {},
            width=preview.width,
            height=preview.height,
        )

    return pick


def _beside(pool: PoolArrays, window: NDArray[np.int64], opened: Sequence[int]) -> NDArray[np.int64]:
    """Positions of the first of `opened` that are open and not in the window, sorted."""
    tasks = np.array(opened, dtype=np.int64)
    positions = np.flatnonzero(np.isin(pool.task, tasks) & pool.open)
    positions = positions[~np.isin(positions, window)]
    likelihood = {task: place for place, task in enumerate(opened)}
    likeliest = sorted(positions.tolist(), key=lambda position: likelihood[int(pool.task[position])])[:OPENED]
    return np.array(sorted(likeliest), dtype=np.int64)
