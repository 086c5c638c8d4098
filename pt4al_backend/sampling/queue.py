"""The round, its query, and the score by which the queue is sorted.

Nothing here remembers anything: the round follows from which images of which batch are
labelled, so labels that change, vanish or come out of turn need no special care.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_PUBLISHED = 120
"""Images of a window at most: a large query is published in parts, since each costs Label Studio time (fact 6)."""

LAST_PLACE = 1.0
"""Queue score of what should not be labelled now: labelled, skipped, unreadable, unknown."""


@dataclass(frozen=True)
class Pool:
    """The pool, one entry per image, all arrays (n,).

    ``rank`` counts hardest first; ``uncertainty`` is NaN where the model has no opinion.
    """

    batch: NDArray[np.integer]
    rank: NDArray[np.integer]
    uncertainty: NDArray[np.floating]
    labelled: NDArray[np.bool_]
    skipped: NDArray[np.bool_]

    @property
    def open(self) -> NDArray[np.bool_]:
        """What can still be labelled."""
        return ~self.labelled & ~self.skipped


@dataclass(frozen=True)
class Plan:
    """What to serve: ``window`` are positions in serving order, ``scores`` (n,) the queue scores of the pool."""

    round: int
    window: NDArray[np.int64]
    scores: NDArray[np.float64]


def even(n: int, k: int) -> NDArray[np.int64]:
    """``n`` positions, the first ``k`` of them at even distances: the cold start's order (section 3.3)."""
    first = np.arange(k) * n // max(k, 1) if k < n else np.arange(n)
    rest = np.setdiff1d(np.arange(n), first)
    return np.concatenate([first, rest]).astype(np.int64)


def current_round(pool: Pool, *, cycles: int, query_size: int) -> int:
    """The first batch with fewer labels than the query asks, or, behind the last batch, ``cycles`` + full queries."""
    labelled = np.bincount(pool.batch[pool.labelled], minlength=cycles)
    available = np.bincount(pool.batch[~pool.skipped | pool.labelled], minlength=cycles)
    quota = np.minimum(query_size, available)
    unmet = np.flatnonzero(labelled < quota)
    if len(unmet):
        return int(unmet[0])
    return cycles + int((labelled - quota).sum()) // query_size


def plan(pool: Pool, *, cycles: int, query_size: int, slack: int) -> Plan:
    """Choose the window: what is left of the round's query, then ``slack`` more from the batches after it."""
    now = current_round(pool, cycles=cycles, query_size=query_size)
    lanes = _lanes(pool, now, cycles=cycles, query_size=query_size)
    scores = np.full(len(pool.batch), LAST_PLACE)
    for ahead, lane in enumerate(lanes):
        scores[lane] = (ahead + np.arange(len(lane)) / max(len(lane), 1)) / cycles
    return Plan(now, _window(pool, lanes, now, query_size=query_size, slack=slack), np.minimum(scores, LAST_PLACE))


def _lanes(pool: Pool, now: int, *, cycles: int, query_size: int) -> list[NDArray[np.int64]]:
    """Open positions in serving order: the round's batch, the batches ahead of it, the rest of those behind."""
    lanes = []
    for batch in range(min(now, cycles), cycles):
        members = np.flatnonzero(pool.batch == batch)
        ordered = _cold_start(pool, members, query_size) if batch == 0 else _most_uncertain(pool, members)
        lanes.append(ordered[pool.open[ordered]])
    behind = np.flatnonzero((pool.batch < now) & pool.open)
    lanes.append(_most_uncertain(pool, behind))
    return lanes


def _cold_start(pool: Pool, members: NDArray[np.int64], query_size: int) -> NDArray[np.int64]:
    by_rank = members[np.argsort(pool.rank[members], kind="stable")]
    return by_rank[even(len(by_rank), query_size)]


def _most_uncertain(pool: Pool, members: NDArray[np.int64]) -> NDArray[np.int64]:
    """Most uncertain first; where the model has no opinion, afterwards, by rank."""
    uncertainty = np.nan_to_num(pool.uncertainty[members], nan=-np.inf)
    return members[np.lexsort((pool.rank[members], -uncertainty))]


def _window(pool: Pool, lanes: list[NDArray[np.int64]], now: int, *, query_size: int, slack: int) -> NDArray[np.int64]:
    current, *ahead = lanes
    if not ahead:  # behind the last batch: one pool
        return current[: min(query_size + slack, max(MOST_PUBLISHED, slack))]
    labelled = int(pool.labelled[pool.batch == now].sum())
    query = current[: max(query_size - labelled, 0)]
    # A batch too small to fill the slack is topped up by the next one.
    spare = np.concatenate([lane[:slack] for lane in ahead] or [current[:0]])[:slack]
    return np.concatenate([query, spare])[: max(MOST_PUBLISHED, slack)].astype(np.int64)
