"""Which round it is, which query strategy has its turn, and which features it needs."""

from __future__ import annotations

import importlib.util

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.errors import PT4ALError
from pt4al_backend.sampling import queue
from pt4al_backend.sampling.strategies import Strategy, strategy
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project


def chosen_strategy(settings: Settings, *, dense: bool) -> Strategy:
    """The query strategy that the settings ask for; `dense`: where pixels are told apart.

    Raises:
        PT4ALError: it comes from a library that is not there.
    """
    order, diversity = settings.method.order, settings.diversity_for(dense=dense)
    chosen = strategy(settings.strategy, order=order, diversity=diversity, dense=dense)
    if chosen.library and importlib.util.find_spec(chosen.library) is None:
        raise PT4ALError(
            f"The strategy {settings.strategy} comes from scikit-activeml, which is not installed: "
            "pip install scikit-activeml, or choose another with PT4AL_STRATEGY."
        )
    return chosen


def current_round(pool: PoolArrays, project: Project, settings: Settings) -> int:
    """The round that the labels in `pool` (all of it in batches) have come to."""
    in_rounds, cycles = in_rounds_of(pool, project, chosen_strategy(settings, dense=project.dense))
    return queue.current_round(in_rounds, cycles=cycles, query_size=settings.query_size or project.query_size)


def wanted_rows(pool: PoolArrays, project: Project, settings: Settings) -> NDArray[np.int64]:
    """Rows whose features the next rankings need: labelled images, the round's batch and the one after it.

    Behind the last batch that is the whole pool.
    """
    now = current_round(pool, project, settings)
    labelled = pool.labelled
    whole = now + 1 >= project.cycles or not chosen_strategy(settings, dense=project.dense).batches
    near = (pool.batch == now) | (pool.batch == now + 1) | whole
    return np.concatenate([pool.row[labelled], pool.row[near & ~labelled]])


def in_rounds_of(pool: PoolArrays, project: Project, chosen: Strategy) -> tuple[queue.Pool, int]:
    """The pool in the batches that rounds go through, and how many these are."""
    batch, cycles = (pool.batch, project.cycles) if chosen.batches else (np.zeros_like(pool.batch), 1)
    return queue.Pool(batch=batch, labelled=pool.labelled, skipped=pool.skipped), cycles
