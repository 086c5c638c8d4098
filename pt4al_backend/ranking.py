"""The quick step of the loop: refit the head on every label there is, rank the pool, choose the window.

Well under a second, after every new label, while training goes on beside it.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling_platform import Pick, Window
from pt4al_backend.sampling import lanes, queue
from pt4al_backend.sampling.strategies import Strategy, strategy
from pt4al_backend.sampling.uncertainty import UNCERTAINTIES, softmax
from pt4al_backend.settings import Settings
from pt4al_backend.store.features import FeatureFile
from pt4al_backend.store.ranking import RankingArrays
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project
from pt4al_backend.versions import version_name

CHUNK = 4096  # rows whose features are in memory at a time


@dataclass(frozen=True)
class Opinion:
    """What the main model thinks of the pool; arrays (n,), no opinion = NaN, -1, 0."""

    uncertainty: NDArray[np.float64]
    choice: NDArray[np.int32]
    probability: NDArray[np.float32]
    head: learning.Head | None

    @classmethod
    def none(cls, n: int) -> Opinion:
        """Before the first label."""
        return cls(np.full(n, np.nan), np.full(n, -1, np.int32), np.zeros(n, np.float32), None)


@dataclass(frozen=True)
class Ranked:
    """The pool in order: for ``/predict``, and for the queue."""

    round: int
    arrays: RankingArrays
    window: Window


def chosen_strategy(settings: Settings) -> Strategy:
    """The query strategy that the settings ask for.

    Raises:
        PT4ALError: it comes from a library that is not there.
    """
    method = settings.method
    chosen = strategy(settings.strategy, order=method.order, uncertainty=method.uncertainty, diversity=method.diversity)
    if chosen.library and importlib.util.find_spec(chosen.library) is None:
        raise PT4ALError(
            f"The strategy {settings.strategy} comes from scikit-activeml: pip install 'pt4al-backend[strategies]', "
            "or choose another with PT4AL_STRATEGY."
        )
    return chosen


def refit(pool: PoolArrays, features: FeatureFile, *, classes: int, uncertainty: str) -> Opinion:
    """Fit the head on all labels whose features are known, and ask it about all images whose features are."""
    known = features.has(pool.row)
    labelled = known & (pool.target >= 0)
    if not labelled.any():
        return Opinion.none(len(pool))
    head = learning.fit_head(features.read(pool.row[labelled]), pool.target[labelled], classes)
    opinion = replace(Opinion.none(len(pool)), head=head)
    positions = np.flatnonzero(known)
    for start in range(0, len(positions), CHUNK):
        chunk = positions[start : start + CHUNK]
        logits = head.logits(features.read(pool.row[chunk]))
        opinion.uncertainty[chunk] = UNCERTAINTIES[uncertainty](logits)
        opinion.choice[chunk] = logits.argmax(axis=1)
        opinion.probability[chunk] = softmax(logits).max(axis=1)
    return opinion


def rank(
    pool: PoolArrays,
    opinion: Opinion,
    features: FeatureFile,
    project: Project,
    settings: Settings,
    *,
    kept: NDArray[np.int64] | None = None,
) -> Ranked:
    """Sort the pool (all of it in batches) and choose the window.

    ``kept``: a query that was chosen as a whole, task ids in serving order; it is served on.
    """
    chosen = chosen_strategy(settings)

    def serve(members: NDArray[np.int64], round_: int, wanted: int) -> NDArray[np.int64]:
        lane = _lane(pool, members, opinion, features, project, settings, round_)
        order: lanes.Order = chosen.later if round_ else chosen.first
        if not wanted:  # its turn comes later
            order = lanes.uncertain
        elif kept is not None:
            order = _serve_on(pool.task[members], kept)
        return members[order(lane, wanted)]

    in_rounds, cycles = _for_sampling(pool, project, chosen)
    plan = queue.plan(
        in_rounds,
        cycles=cycles,
        query_size=settings.query_size or project.query_size,
        slack=settings.slack,
        serve=serve,
    )
    picks = tuple(_pick(pool, opinion, project.classes, plan, position) for position in plan.window)
    labelled = int((pool.target >= 0).sum())
    return Ranked(
        round=plan.round,
        arrays=RankingArrays(pool.task, plan.scores, opinion.choice, opinion.probability),
        window=Window(version=version_name(plan.round, labelled, picks), picks=picks),
    )


def current_round(pool: PoolArrays, project: Project, settings: Settings) -> int:
    """The round that the labels in ``pool`` (all of it in batches) have come to."""
    in_rounds, cycles = _for_sampling(pool, project, chosen_strategy(settings))
    return queue.current_round(in_rounds, cycles=cycles, query_size=settings.query_size or project.query_size)


def wanted_rows(pool: PoolArrays, project: Project, settings: Settings) -> NDArray[np.int64]:
    """Rows whose features the next rankings need: labelled images, the round's batch and the one after it.

    Behind the last batch that is the whole pool.
    """
    now = current_round(pool, project, settings)
    labelled = pool.target >= 0
    whole = now + 1 >= project.cycles or not chosen_strategy(settings).batches
    near = (pool.batch == now) | (pool.batch == now + 1) | whole
    return np.concatenate([pool.row[labelled], pool.row[near & ~labelled]])


def _for_sampling(pool: PoolArrays, project: Project, chosen: Strategy) -> tuple[queue.Pool, int]:
    """The pool in the batches that rounds go through, and how many these are."""
    batch, cycles = (pool.batch, project.cycles) if chosen.batches else (np.zeros_like(pool.batch), 1)
    return queue.Pool(batch=batch, labelled=pool.target >= 0, skipped=pool.skipped), cycles


def _lane(
    pool: PoolArrays,
    members: NDArray[np.int64],
    opinion: Opinion,
    features: FeatureFile,
    project: Project,
    settings: Settings,
    round_: int,
) -> lanes.Lane:
    head = opinion.head

    def of(positions: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = pool.row[members[positions]]
        known = features.has(rows)
        values = np.full((len(rows), features.width), np.nan, dtype=np.float32)
        values[known] = features.read(rows[known])
        return values

    def labelled() -> NDArray[np.float32]:
        rows = pool.row[pool.target >= 0]
        return features.read(rows[features.has(rows)]).astype(np.float32)

    def mistakes() -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        labels = np.flatnonzero((pool.target >= 0) & features.has(pool.row))
        guessed = learning.out_of_fold(features.read(pool.row[labels]), pool.target[labels], len(project.classes))
        return pool.batch[labels], guessed != pool.target[labels]

    return lanes.Lane(
        batch=pool.batch[members],
        rank=pool.rank[members],
        uncertainty=opinion.uncertainty[members],
        luck=lanes.luck(pool.task[members], seed=settings.seed),
        open=(pool.target[members] < 0) & ~pool.skipped[members],
        query_size=settings.query_size or project.query_size,
        features=of,
        labelled=labelled,
        predict=None if head is None else lambda some: softmax(head.logits(some)),
        mistakes=mistakes,
        round=round_,
        seed=settings.seed,
    )


def _serve_on(tasks: NDArray[np.int64], kept: NDArray[np.int64]) -> lanes.Order:
    """The order that serves the tasks in ``kept`` first."""

    def order(lane: lanes.Lane, wanted: int) -> lanes.Positions:
        place = {task: k for k, task in enumerate(tasks.tolist())}
        first = np.array([place[task] for task in kept.tolist() if task in place], dtype=np.int64)
        return lanes.then_the_rest(first[lane.open[first]], lane)

    return order


def _pick(pool: PoolArrays, opinion: Opinion, classes: list[str], plan: queue.Plan, position: int) -> Pick:
    choice = int(opinion.choice[position])
    return Pick(
        task=int(pool.task[position]),
        score=float(plan.scores[position]),
        label=classes[choice] if choice >= 0 else None,
        probability=float(opinion.probability[position]) if choice >= 0 else None,
    )
