"""From an predictions on the pool to the queue: rank it and choose the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.fit_probes import mistakes
from pt4al_backend.active_learning.pool_predictions import PoolPredictions, Preview, Previews
from pt4al_backend.active_learning.publish import version_name
from pt4al_backend.active_learning.schedule import chosen_strategy, in_rounds_of
from pt4al_backend.labelling.platform import Pick, Window
from pt4al_backend.sampling import candidates, queue
from pt4al_backend.settings import Settings
from pt4al_backend.store.pool_scores import RankingArrays
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

PREVIEWED = 20
"""Images at the front of a window that are published with a mask: each costs time, and all are published anew
long before the others come to the front."""

OPENED = 10
"""Images beside a window at most that somebody may have open."""


@dataclass(frozen=True)
class Ranked:
    """The pool in order: for `/predict`, and for the queue."""

    round: int
    query: NDArray[np.int64]
    """Tasks that are left of the round's query, in serving order."""
    arrays: RankingArrays
    window: Window


def rank(
    pool: PoolArrays,
    predictions: PoolPredictions,
    project: Project,
    settings: Settings,
    *,
    kept: NDArray[np.int64] | None = None,
    opened: Sequence[int] = (),
    previews: Previews | None = None,
) -> Ranked:
    """Sort the pool (all of it in batches) and choose the window.

    `kept`: a query that was chosen as a whole, task ids in serving order; it is served on. `opened`: tasks that
    somebody may have open, the likeliest first.
    """
    chosen = chosen_strategy(settings, dense=project.dense)
    uncertainty = predictions.uncertainty

    def serve(members: NDArray[np.int64], round_: int, wanted: int) -> NDArray[np.int64]:
        lane = _lane(pool, members, predictions, uncertainty, project, settings, round_)
        order: candidates.Order = chosen.later if round_ else chosen.first
        if not wanted:  # its turn comes later
            order = candidates.uncertain
        elif kept is not None:
            order = _serve_on(pool.task[members], kept)
        return members[order(lane, wanted)]

    in_rounds, cycles = in_rounds_of(pool, project, chosen)
    plan = queue.plan(
        in_rounds,
        cycles=cycles,
        query_size=settings.query_size or project.query_size,
        slack=settings.slack,
        serve=serve,
        at_once=chosen.at_once,
    )
    arrays = RankingArrays(pool.task, plan.scores, predictions.guesses)
    beside = _beside(pool, plan.window, opened)
    front = np.concatenate([plan.window[:PREVIEWED], beside])
    drawn = dict(zip(front.tolist(), previews(front), strict=True)) if previews else {}

    def pick(position: int, score: float) -> Pick:
        preview = drawn.get(position, Preview({}, 0, 0))
        return Pick(
            task=int(pool.task[position]),
            score=score,
            guesses=arrays.predictions_at(position, predictions.questions) | preview.guesses
            if settings.preannotate
            else {},
            width=preview.width,
            height=preview.height,
        )

    picks = tuple(pick(position, float(plan.scores[position])) for position in plan.window.tolist())
    left = tuple(pick(position, queue.LAST_PLACE) for position in beside.tolist()) if picks else ()
    version = version_name(plan.round, int(pool.labelled.sum()), picks + left)
    window = Window(version, picks, left)
    return Ranked(round=plan.round, query=pool.task[plan.query], arrays=arrays, window=window)


def _lane(
    pool: PoolArrays,
    members: NDArray[np.int64],
    predictions: PoolPredictions,
    uncertainty: NDArray[np.float64],
    project: Project,
    settings: Settings,
    round_: int,
) -> candidates.Candidates:
    features = predictions.sources.features

    def of(positions: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = pool.row[members[positions]]
        known = predictions.sources.known(rows)
        values = np.full((len(rows), features.width), np.nan, dtype=np.float32)
        values[known] = features.read(rows[known])
        return values

    def labelled() -> NDArray[np.float32]:
        rows = pool.row[pool.labelled]
        return features.read(rows[features.has(rows)]).astype(np.float32)

    def mistaken() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        positions, wrong = mistakes(pool, predictions.questions, predictions.sources)
        return pool.batch[positions], wrong

    return candidates.Candidates(
        batch=pool.batch[members],
        rank=pool.rank[members],
        uncertainty=uncertainty[members],
        random_key=candidates.random_key(pool.task[members], seed=settings.seed),
        open=~pool.labelled[members] & ~pool.skipped[members],
        query_size=settings.query_size or project.query_size,
        features=of,
        labelled=labelled,
        errors=(lambda positions: predictions.errors(members[positions])) if predictions.views else None,
        predict=(lambda positions: predictions.probabilities(members[positions])) if predictions.exclusive else None,
        mistakes=mistaken,
        round=round_,
        seed=settings.seed,
    )


def _beside(pool: PoolArrays, window: NDArray[np.int64], opened: Sequence[int]) -> NDArray[np.int64]:
    """Positions of the first of `opened` that are open and not in the window, sorted."""
    tasks = np.array(opened, dtype=np.int64)
    positions = np.flatnonzero(np.isin(pool.task, tasks) & ~pool.labelled & ~pool.skipped)
    positions = positions[~np.isin(positions, window)]
    likelihood = {task: place for place, task in enumerate(opened)}
    likeliest = sorted(positions.tolist(), key=lambda position: likelihood[int(pool.task[position])])[:OPENED]
    return np.array(sorted(likeliest), dtype=np.int64)


def _serve_on(tasks: NDArray[np.int64], kept: NDArray[np.int64]) -> candidates.Order:
    """The order that serves the tasks in `kept` first."""

    def order(lane: candidates.Candidates, wanted: int) -> candidates.Positions:
        place = {task: k for k, task in enumerate(tasks.tolist())}
        first = np.array([place[task] for task in kept.tolist() if task in place], dtype=np.int64)
        return candidates.then_the_rest(first[lane.open[first]], lane)

    return order
