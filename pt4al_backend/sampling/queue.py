"""The round, its query, and the score by which the queue is sorted.

Nothing here remembers anything: the round follows from which images of which batch are
labelled, so labels that change, vanish or come out of turn need no special care.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_PUBLISHED = 120
"""Images of a window at most: a large query is published in parts, since each costs Label Studio time (fact 6)."""

LAST_PLACE = 1.0
"""Queue score of what should not be labelled now: labelled, skipped, unreadable, unknown."""


@dataclass(frozen=True)
class Pool:
    """The pool, one entry per image, all arrays (n,)."""

    batch: NDArray[np.integer]
    labelled: NDArray[np.bool_]
    skipped: NDArray[np.bool_]

    @property
    def open(self) -> NDArray[np.bool_]:
        """What can still be labelled."""
        return ~self.labelled & ~self.skipped


@dataclass(frozen=True)
class Plan:
    """What to serve: `window` are positions in serving order, `scores` (n,) the queue scores of the pool.

    `query`: positions of what is left of the round's query, which may be more than a window holds.
    """

    round: int
    query: NDArray[np.int64]
    window: NDArray[np.int64]
    scores: NDArray[np.float64]


def current_round(pool: Pool, *, cycles: int, query_size: int) -> int:
    """The first batch with fewer labels than the query asks, or, behind the last batch, `cycles` + full queries."""
    labelled = np.bincount(pool.batch[pool.labelled], minlength=cycles)
    available = np.bincount(pool.batch[~pool.skipped | pool.labelled], minlength=cycles)
    quota = np.minimum(query_size, available)
    unmet = np.flatnonzero(labelled < quota)
    if len(unmet):
        return int(unmet[0])
    return cycles + int((labelled - quota).sum()) // query_size


Serve = Callable[[NDArray[np.int64], int, int], NDArray[np.int64]]
"""Positions of a lane, the round, and how many images are wanted -> the lane's open positions in serving order."""


def plan(pool: Pool, *, cycles: int, query_size: int, slack: int, serve: Serve, at_once: bool = False) -> Plan:
    """Choose the window: what is left of the round's query, then `slack` more from the batches after it.

    `at_once`: all that is left of the query is wanted of `serve`, and no slack: how many are chosen together
    matters. Else as many as are published, since the rest is chosen anew before its turn.
    """
    now = current_round(pool, cycles=cycles, query_size=query_size)
    behind = np.flatnonzero(pool.batch < now)
    lanes = [np.flatnonzero(pool.batch == batch) for batch in range(now, cycles)] or [behind]
    wanted = _wanted(pool, now, cycles=cycles, query_size=query_size)
    limit = max(MOST_PUBLISHED, slack)
    served = [serve(lanes[0], now, wanted if at_once else min(wanted + slack, limit))]
    served += [serve(lane, now + 1 + ahead, 0) for ahead, lane in enumerate(lanes[1:])]
    if now < cycles:
        served.append(serve(behind, cycles, 0))
    scores = np.full(len(pool.batch), LAST_PLACE)
    for ahead, lane in enumerate(served):
        scores[lane] = (ahead + np.arange(len(lane)) / max(len(lane), 1)) / cycles
    window = _window(served, wanted, slack=slack)[:limit]
    return Plan(now, served[0][:wanted], window[np.argsort(scores[window], kind="stable")], scores)


def _wanted(pool: Pool, now: int, *, cycles: int, query_size: int) -> int:
    """How many images are left to label of the round's query."""
    if now >= cycles:
        return query_size
    return max(query_size - int(pool.labelled[pool.batch == now].sum()), 0)


def _window(served: list[NDArray[np.int64]], wanted: int, *, slack: int) -> NDArray[np.int64]:
    """The rest of the query, then slack from the batches ahead; where those run out, from the query's own batch."""
    current, *ahead = served
    spare = np.concatenate([*ahead, current[wanted:]])[:slack]
    return np.concatenate([current[:wanted], spare]).astype(np.int64)
