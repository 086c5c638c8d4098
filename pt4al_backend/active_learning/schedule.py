"""Which round it is, which query strategy chooses, and which embeddings it needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.errors import PT4ALError
from pt4al_backend.sampling import queue, strategies
from pt4al_backend.sampling.strategy import Strategy
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project


@dataclass(frozen=True)
class Schedule:
    """What a ranking of the pool depends on."""

    name: str
    """Of the strategy."""
    strategy: Strategy
    round: queue.Round
    query_size: int

    def rows(self, pool: PoolArrays) -> NDArray[np.int64]:
        """Rows whose embeddings the next rankings need: labelled images, this round's batch and the next one.

        After the last batch, that is the whole pool.
        """
        now = self.round.number
        near = (pool.batch == now) | (pool.batch == now + 1) | (now + 1 >= self.round.cycles)
        return np.concatenate([pool.row[pool.labelled], pool.row[near & ~pool.labelled]])


def chosen_strategy(settings: Settings, *, dense: bool) -> Strategy:
    """The query strategy that the settings ask for.

    Args:
        settings: the project's.
        dense: whether labels are at pixel level.

    Raises:
        PT4ALError: the strategy, or a package it needs, is not installed or cannot be imported.
    """
    try:
        return strategies.find(settings.strategy, diversity=settings.diversity_for(dense=dense), dense=dense)
    except strategies.StrategyError as error:
        raise PT4ALError(str(error)) from error


def schedule(pool: PoolArrays, project: Project, settings: Settings) -> Schedule:
    """Find the round that the labels in `pool` (all in batches) have reached, and what chooses its query.

    Raises:
        PT4ALError: the strategy cannot be used.
    """
    strategy = chosen_strategy(settings, dense=project.dense)
    query_size = settings.query_size or project.query_size
    batch, cycles = (pool.batch, project.cycles) if strategy.batches else (np.zeros_like(pool.batch), 1)
    in_rounds = queue.Pool(batch=batch, labelled=pool.labelled, skipped=pool.skipped)
    due = queue.next_round(in_rounds, cycles=cycles, query_size=query_size)
    return Schedule(settings.strategy, strategy, due, query_size)
