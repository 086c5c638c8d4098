"""Hold images out, to measure the model on labels that were neither chosen by it nor learned from.

They are drawn at random from the images that nobody has labelled yet, and served between the others. What the model
thinks of them is not shown, since a suggestion would bias the answer.

A group of near-duplicates is held out as a whole or not at all: a model that learned from a copy of an image knows that
image. Only a copy that was labelled before the group was found may be learned from although another one is held out.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.assessment.duplicates import Positions, asked
from pt4al_backend.sampling.candidates import random_key
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

SINCE = 200
"""Labels before which none is held out: a model needs them more than its measurement does."""
LEAST = 20
"""Images that are held out at least."""


def wanted(labelled: int, share: float) -> int:
    """How many images are held out when so many are labelled; `share` of the labels, at least `LEAST`."""
    if not share or labelled < SINCE:
        return 0
    return max(LEAST, math.ceil(share * labelled))


def hold_out(workspace: Workspace, project: Project, pool: PoolArrays, middle: Positions) -> PoolArrays:
    """Hold out as many images as are wanted now, and return the pool as it is then.

    Where none is wanted any more, those that were held out become ordinary images; otherwise they stay.

    Args:
        workspace: the project's.
        project: the project.
        pool: all n images.
        middle: (n,) the groups of near-duplicates, each of which counts once; see `near_duplicates`.
    """
    share = workspace.settings.validation
    if not share and pool.held_out.any():
        workspace.store.hold_out(project.id, pool.task[pool.held_out].tolist(), held_out=False)
        return replace(pool, held_out=np.zeros(len(pool), dtype=bool))
    waits = asked(middle, labelled=pool.labelled, skipped=pool.skipped).waits
    serving = np.unique(middle[pool.held_out & ~pool.skipped & ~waits])
    missing = max(wanted(int(pool.labelled.sum()), share) - len(serving), 0)
    free = np.flatnonzero(pool.open & ~pool.held_out & ~waits)
    drawn = free[np.argsort(random_key(pool.task[free], seed=workspace.settings.seed + 1))[:missing]]
    groups = np.concatenate([middle[pool.held_out], middle[drawn]])
    held_out = pool.held_out | (pool.open & np.isin(middle, groups))
    added = pool.task[held_out & ~pool.held_out]
    if not len(added):
        return pool
    workspace.store.hold_out(project.id, added.tolist())
    return replace(pool, held_out=held_out)
