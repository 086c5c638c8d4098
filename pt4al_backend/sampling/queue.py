"""The round, its query, and the scores that sort the queue.

This module keeps no state: the round follows from the labels in each batch, so labels that change, disappear or arrive
out of order need no special treatment.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.candidates import Positions

MOST_PUBLISHED = 60
"""Largest size of a window: a large query is published in parts, since each image costs Label Studio time (fact 6):
with twice as many, an order took 1.3 s instead of 1.2. It has to last until the next order, whoever labels."""

HELD_OUT_EVERY = 4
"""Of so many images one is a held-out one, as long as there are any."""
_BETWEEN = 1e-6
"""Distance of queue scores before the first image and after the last."""
LAST_PLACE = 1.0
"""Queue score of images that should not be labelled now: labelled, skipped, unreadable or unknown ones."""


@dataclass(frozen=True)
class Pool:
    """The pool: arrays (n,) with one entry per image."""

    batch: NDArray[np.integer]
    labelled: NDArray[np.bool_]
    skipped: NDArray[np.bool_]

    @property
    def open(self) -> NDArray[np.bool_]:
        """(n,) True for images that can still be labelled."""
        return ~self.labelled & ~self.skipped


@dataclass(frozen=True)
class Round:
    """The current round; positions refer to the pool."""

    number: int
    """Counted from 0."""
    cycles: int
    """Number of batches."""
    members: Positions
    """The images that the round's query is taken from, including labelled and skipped ones."""
    ahead: tuple[Positions, ...]
    """The members of each later round."""
    left: int
    """Number of images of the query that still need a label."""

    def wanted(self, *, slack: int, at_once: bool) -> int:
        """The number of images to request from a strategy.

        Args:
            slack: size of the buffer that is published after the query.
            at_once: request exactly the rest of the query, since the size of a batch matters to the strategy.
                Otherwise request as many as are published, since the others are chosen again before their turn.
        """
        return self.left if at_once else min(self.left + slack, _most(slack))


@dataclass(frozen=True)
class Queue:
    """The images to serve; positions refer to the pool."""

    query: Positions
    """The rest of the round's query in serving order; it may be larger than the window."""
    window: Positions
    """The images to publish now, in serving order."""
    scores: NDArray[np.float64]
    """(n,) the queue score of each image in the pool."""


def current_round(pool: Pool, *, cycles: int, query_size: int) -> int:
    """The first batch with fewer labels than a query; after the last batch, `cycles` + the number of full queries."""
    labelled = np.bincount(pool.batch[pool.labelled], minlength=cycles)
    available = np.bincount(pool.batch[~pool.skipped | pool.labelled], minlength=cycles)
    quota = np.minimum(query_size, available)
    unmet = np.flatnonzero(labelled < quota)
    if len(unmet):
        return int(unmet[0])
    return cycles + int((labelled - quota).sum()) // query_size


def next_round(pool: Pool, *, cycles: int, query_size: int) -> Round:
    """The round that is due: it queries its own batch, or the rest of the pool after the last batch."""
    now = current_round(pool, cycles=cycles, query_size=query_size)
    earlier = np.flatnonzero(pool.batch < now)
    batches = [np.flatnonzero(pool.batch == batch) for batch in range(now, cycles)]
    members, *ahead = [*batches, earlier]
    done = int(pool.labelled[pool.batch == now].sum()) if now < cycles else 0
    return Round(now, cycles, members, tuple(ahead), max(query_size - done, 0))


def build(now: Round, orders: Sequence[Positions], *, pool_size: int, slack: int) -> Queue:
    """Compute the queue scores and the window: the rest of the round's query, then a buffer from later batches.

    Args:
        now: the current round.
        orders: its open images in serving order, then those of each later round.
        pool_size: number of images n.
        slack: size of the buffer that is published after the query.
    """
    scores = np.full(pool_size, LAST_PLACE)
    for ahead, order in enumerate(orders):
        scores[order] = (ahead + np.arange(len(order)) / max(len(order), 1)) / now.cycles
    current, *later = orders
    # If later batches run out, the buffer comes from the query's own batch.
    buffer = np.concatenate([*later, current[now.left :]])[:slack]
    window = np.concatenate([current[: now.left], buffer]).astype(np.int64)[: _most(slack)]
    return Queue(current[: now.left], window[np.argsort(scores[window], kind="stable")], scores)


def with_held_out(queue: Queue, held_out: Positions, *, labelled: int, slack: int) -> Queue:
    """Put the next held-out images into the window, one in `HELD_OUT_EVERY` places.

    The places move forward by one with each label: after three other images comes a held-out one.

    Args:
        queue: without them.
        held_out: open images that are held out.
        labelled: the number of labelled images.
        slack: as for `build`.
    """
    if not len(held_out):
        return queue
    others, waiting = queue.window.tolist(), held_out.tolist()
    order: list[int] = []
    while (others or waiting) and len(order) < _most(slack):
        due = (labelled + len(order)) % HELD_OUT_EVERY == 0
        order.append((waiting if waiting and (due or not others) else others).pop(0))
    window, scores = np.array(order, dtype=np.int64), queue.scores.copy()
    places = np.flatnonzero(~np.isin(window, held_out))
    known = scores[window[places]]
    ends = known.min(initial=0.0) - _BETWEEN, known.max(initial=0.0) + _BETWEEN
    scores[window] = np.interp(np.arange(len(window)), [-1, *places, len(window)], [ends[0], *known, ends[1]])
    return Queue(queue.query, window, scores)


def with_copies(queue: Queue, waiting: Positions, *, slack: int) -> Queue:
    """Put images that wait for all others behind them, and into the window only where it is shorter than the buffer.

    Args:
        queue: without them.
        waiting: open images in serving order.
        slack: as for `build`.
    """
    if not len(waiting):
        return queue
    scores = queue.scores.copy()
    last = scores[scores < LAST_PLACE].max(initial=0.0)
    scores[waiting] = np.linspace(last, LAST_PLACE, len(waiting) + 2)[1:-1]
    window = np.concatenate([queue.window, waiting])[: max(len(queue.window), slack)]
    return Queue(queue.query, window, scores)


def _most(slack: int) -> int:
    """Largest size of a window."""
    return max(MOST_PUBLISHED, slack)
