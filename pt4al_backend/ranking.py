"""The quick step of the loop: refit the head on every label there is, rank the pool, choose the window.

Well under a second, after every new label, while training goes on beside it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.labelling_platform import Pick, Window
from pt4al_backend.sampling import queue
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

    @classmethod
    def none(cls, n: int) -> Opinion:
        """Before the first label."""
        return cls(np.full(n, np.nan), np.full(n, -1, np.int32), np.zeros(n, np.float32))


@dataclass(frozen=True)
class Ranked:
    """The pool in order: for ``/predict``, and for the queue."""

    round: int
    arrays: RankingArrays
    window: Window


def refit(pool: PoolArrays, features: FeatureFile, *, classes: int, uncertainty: str) -> Opinion:
    """Fit the head on all labels whose features are known, and ask it about all images whose features are."""
    opinion = Opinion.none(len(pool))
    known = features.has(pool.row)
    labelled = known & (pool.target >= 0)
    if not labelled.any():
        return opinion
    head = learning.fit_head(features.read(pool.row[labelled]), pool.target[labelled], classes)
    positions = np.flatnonzero(known)
    for start in range(0, len(positions), CHUNK):
        chunk = positions[start : start + CHUNK]
        logits = head.logits(features.read(pool.row[chunk]))
        opinion.uncertainty[chunk] = UNCERTAINTIES[uncertainty](logits)
        opinion.choice[chunk] = logits.argmax(axis=1)
        opinion.probability[chunk] = softmax(logits).max(axis=1)
    return opinion


def rank(pool: PoolArrays, opinion: Opinion, project: Project, settings: Settings) -> Ranked:
    """Sort the pool (all of it in batches) and choose the window."""
    plan = queue.plan(
        _for_sampling(pool, opinion.uncertainty),
        cycles=project.cycles,
        query_size=settings.query_size or project.query_size,
        slack=settings.slack,
    )
    picks = tuple(_pick(pool, opinion, project.classes, plan, position) for position in plan.window)
    labelled = int((pool.target >= 0).sum())
    return Ranked(
        round=plan.round,
        arrays=RankingArrays(pool.task, plan.scores, opinion.choice, opinion.probability),
        window=Window(version=version_name(plan.round, labelled, picks), picks=picks),
    )


def wanted_rows(pool: PoolArrays, project: Project, settings: Settings) -> NDArray[np.int64]:
    """Rows whose features the next rankings need: labelled images, the round's batch and the one after it.

    Behind the last batch that is the whole pool.
    """
    unknown = np.full(len(pool), np.nan)
    query_size = settings.query_size or project.query_size
    now = queue.current_round(_for_sampling(pool, unknown), cycles=project.cycles, query_size=query_size)
    labelled = pool.target >= 0
    near = (pool.batch == now) | (pool.batch == now + 1) | (now + 1 >= project.cycles)
    return np.concatenate([pool.row[labelled], pool.row[near & ~labelled]])


def _for_sampling(pool: PoolArrays, uncertainty: NDArray[np.float64]) -> queue.Pool:
    return queue.Pool(
        batch=pool.batch,
        rank=pool.rank,
        uncertainty=uncertainty,
        labelled=pool.target >= 0,
        skipped=pool.skipped,
    )


def _pick(pool: PoolArrays, opinion: Opinion, classes: list[str], plan: queue.Plan, position: int) -> Pick:
    choice = int(opinion.choice[position])
    return Pick(
        task=int(pool.task[position]),
        score=float(plan.scores[position]),
        label=classes[choice] if choice >= 0 else None,
        probability=float(opinion.probability[position]) if choice >= 0 else None,
    )
