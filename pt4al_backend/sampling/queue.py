"""The round, its query, and the score by which the queue is sorted.

Nothing here remembers anything: the round follows from which images of which batch are
labelled, so labels that change, vanish or come out of turn need no special care.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.candidates import Positions

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
class Round:
    """What is to be queried now; positions in the pool."""

    number: int
    cycles: int
    """Batches that rounds go through."""
    members: Positions
    """The images that the round's query is taken from, labelled and skipped ones too."""
    ahead: tuple[Positions, ...]
    """Those of the rounds after it, round by round."""
    left: int
    """Images of the query that are still to be labelled."""

    def wanted(self, *, slack: int, at_once: bool) -> int:
        """How many images a strategy is asked for.

        `at_once`: all that is left of the query and no more, since how many are chosen together matters. Else as many
        as are published, since the rest is chosen again before its turn.
        """
        return self.left if at_once else min(self.left + slack, _most(slack))


@dataclass(frozen=True)
class Queue:
    """What is served; positions in the pool."""

    query: Positions
    """What is left of the round's query, which may be more than a window holds, in serving order."""
    window: Positions
    """What is published now, in serving order."""
    scores: NDArray[np.float64]
    """(n,) the queue scores of the pool."""


def current_round(pool: Pool, *, cycles: int, query_size: int) -> int:
    """The first batch with fewer labels than the query asks, or, behind the last batch, `cycles` + full queries."""
    labelled = np.bincount(pool.batch[pool.labelled], minlength=cycles)
    available = np.bincount(pool.batch[~pool.skipped | pool.labelled], minlength=cycles)
    quota = np.minimum(query_size, available)
    unmet = np.flatnonzero(labelled < quota)
    if len(unmet):
        return int(unmet[0])
    return cycles + int((labelled - quota).sum()) // query_size


def next_round(pool: Pool, *, cycles: int, query_size: int) -> Round:
    """The round that is due: its own batch, and behind the last batch what is left of all."""
    now = current_round(pool, cycles=cycles, query_size=query_size)
    behind = np.flatnonzero(pool.batch < now)
    batches = [np.flatnonzero(pool.batch == batch) for batch in range(now, cycles)]
    members, *ahead = [*batches, behind]
    done = int(pool.labelled[pool.batch == now].sum()) if now < cycles else 0
    return Round(now, cycles, members, tuple(ahead), max(query_size - done, 0))


def build(now: Round, orders: Sequence[Positions], *, pool_size: int, slack: int) -> Queue:
    """Scores and window: what is left of the round's query, then `slack` more from the batches ahead.

    Args:
        now: the round.
        orders: its open images in serving order, then those of each batch ahead.
        pool_size: number of images.
        slack: how many images are published behind the query.
    """
    scores = np.full(pool_size, LAST_PLACE)
    for ahead, order in enumerate(orders):
        scores[order] = (ahead + np.arange(len(order)) / max(len(order), 1)) / now.cycles
    current, *later = orders
    # Where the batches ahead run out, the buffer comes from the query's own.
    buffer = np.concatenate([*later, current[now.left :]])[:slack]
    window = np.concatenate([current[: now.left], buffer]).astype(np.int64)[: _most(slack)]
    return Queue(current[: now.left], window[np.argsort(scores[window], kind="stable")], scores)


def _most(slack: int) -> int:
    """Images of a window at most."""
    return max(MOST_PUBLISHED, slack)
