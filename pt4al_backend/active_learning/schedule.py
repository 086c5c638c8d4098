"""Which images are ranked, which round it is, which query strategy chooses, and which embeddings it needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.errors import PT4ALError
from pt4al_backend.sampling import queue, strategies
from pt4al_backend.sampling.strategy import Strategy
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

GROWN = 1.5  # the pretext task is trained again when the pool has grown by this factor


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


def chosen_strategy(settings: Settings, *, dense: bool, pretrained: bool) -> Strategy:
    """The query strategy that the settings ask for.

    Args:
        settings: the project's.
        dense: whether labels are at pixel level.
        pretrained: whether a pretrained encoder is in use.

    Raises:
        PT4ALError: the strategy, or a package it needs, is not installed or cannot be imported.
    """
    name = settings.strategy_for(dense=dense, pretrained=pretrained)
    try:
        return strategies.find(name, diversity=settings.diversity_for(dense=dense), dense=dense)
    except strategies.StrategyError as error:
        raise PT4ALError(str(error)) from error


def schedule(pool: PoolArrays, project: Project, settings: Settings, *, query_size: int = 0) -> Schedule:
    """Find the round that the labels in `pool` have reached, and what chooses its query.

    Args:
        pool: images that are all in batches; or none is, and the whole pool is one batch.
        project: the project.
        settings: the project's.
        query_size: images per round, unless the settings say another number; 0: the project's.

    Raises:
        PT4ALError: the strategy cannot be used.
    """
    pretrained = bool(project.encoder)
    strategy = chosen_strategy(settings, dense=project.dense, pretrained=pretrained)
    name = settings.strategy_for(dense=project.dense, pretrained=pretrained)
    query_size = settings.query_size or query_size or project.query_size
    in_batches = strategy.batches and not (pool.batch < 0).any()
    batch, cycles = (pool.batch, project.cycles) if in_batches else (np.zeros_like(pool.batch), 1)
    in_rounds = queue.Pool(batch=batch, labelled=pool.labelled, skipped=pool.skipped)
    due = queue.next_round(in_rounds, cycles=cycles, query_size=query_size)
    return Schedule(name, strategy, due, query_size)


def ranked_pool(pool: PoolArrays, embedded: NDArray[np.bool_], strategy: Strategy) -> PoolArrays:
    """The images that are ranked with a pretrained encoder: all that are embedded.

    A strategy that uses pretext losses gets those that are in batches, once most are; until then no image is.

    Args:
        pool: all n images.
        embedded: (n,) which of them are embedded.
        strategy: the one in use.
    """
    ready = PoolArrays(**{name: array[embedded] for name, array in vars(pool).items()})
    in_batches = ready.in_batches()
    if strategy.pretext and len(ready) < GROWN * len(in_batches):
        return in_batches
    unknown = np.full(len(ready), -1)
    return replace(ready, loss=np.full(len(ready), np.nan), batch=unknown, rank=unknown)
