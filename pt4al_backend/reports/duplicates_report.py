"""The groups of near-duplicates in a pool, for people."""

from __future__ import annotations

import numpy as np

from pt4al_backend.assessment.duplicates import asked, members, placed
from pt4al_backend.reports.answers import Duplicates
from pt4al_backend.settings import Settings
from pt4al_backend.store.findings import DUPLICATES
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

LISTED = 12
"""Groups that are listed, the largest first."""
SHOWN = 8
"""Images of a group that are shown."""


def duplicates_report(store: Store, settings: Settings, project: Project) -> Duplicates | None:
    """How many groups there are, how many images wait, and the largest groups; None before they were sought.

    Args:
        store: what is known.
        settings: the project's.
        project: the project.
    """
    found = store.finding(project.id, DUPLICATES, arrays=True)
    if found is None:
        return None
    pool = store.pool(project)
    middle = placed(pool.task, found.arrays["task"], found.arrays["middle"])
    once = asked(middle, labelled=pool.labelled, skipped=pool.skipped)
    grouped = members(middle)
    _, group, sizes = np.unique(middle[grouped], return_inverse=True, return_counts=True)
    largest = np.argsort(-sizes, kind="stable")[:LISTED]
    return {
        "groups": len(sizes),
        "images": len(grouped),
        "collapsed": settings.collapse_duplicates,
        "waiting": int(once.waits.sum()) if settings.collapse_duplicates else 0,
        "largest": [
            {
                "size": int(sizes[number]),
                "tasks": pool.task[grouped[group == number]][:SHOWN].tolist(),
                "labelled": int(pool.labelled[grouped[group == number]].sum()),
            }
            for number in largest
        ],
    }
