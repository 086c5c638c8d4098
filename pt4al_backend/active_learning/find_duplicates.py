"""Find the near-duplicates in the pool, and say which of them wait.

They are sought by a pretrained encoder as it is: once its embeddings are there and an order is published, again when
the pool has grown, and with another encoder. A fine-tuned one would take images of a class for more alike than they
are. The project's own networks embed only a part of the pool, so with them no near-duplicates are sought.
"""

from __future__ import annotations

import numpy as np

from pt4al_backend.active_learning.embed import embed_into
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace
from pt4al_backend.assessment.duplicates import Positions, members, near_duplicates, placed
from pt4al_backend.store.findings import DUPLICATES
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

GROWTH = 0.01
"""They are sought again when so many images were added, as part of those that they were sought among: in a large pool,
not for every image that comes."""
WHAT = "looking for near-duplicates"


def duplicates_due(workspace: Workspace, project: Project, pool: PoolArrays) -> bool:
    """Whether images were added since near-duplicates were sought, or another pretrained encoder is in use."""
    if not workspace.assesses or not project.encoder or not len(pool):
        return False
    found = workspace.store.finding(project.id, DUPLICATES)
    if found is None or found.body["encoder"] != project.encoder:
        return True
    added = max(int((pool.task > found.body["newest"]).sum()), len(pool) - found.body["images"])
    return added > GROWTH * found.body["images"]


def find_duplicates(workspace: Workspace) -> Job:
    """Find and store the groups of near-duplicates."""
    project = workspace.project()
    pool, files = workspace.store.pool(project), workspace.networks.embeddings(project, project.encoder)
    missing = files.missing(pool.row)  # images that came when a fine-tuned encoder was in use
    if len(missing):
        yield from embed_into(workspace, files, missing)
    pool = PoolArrays(**{name: array[files.vectors.has(pool.row)] for name, array in vars(pool).items()})
    pixels = workspace.pixels(project)
    search = near_duplicates(files.vectors.read(pool.row), lambda positions: pixels.read(pool.row[positions]))
    while True:
        try:
            yield Progress(next(search), WHAT)
        except StopIteration as end:
            middle: Positions = end.value
            break
    grouped = members(middle)
    workspace.store.save_finding(
        project.id,
        DUPLICATES,
        {"encoder": project.encoder, "images": len(pool), "newest": int(pool.task.max(initial=0))},
        revision=project.labels_revision,
        arrays={"task": pool.task[grouped], "middle": pool.task[middle[grouped]]},
    )


def groups_of(workspace: Workspace, project: Project, pool: PoolArrays) -> Positions:
    """(n,) for each image the position of the middle of its group, as far as groups are known and collapsed."""
    if workspace.settings.collapse_duplicates:
        found = workspace.store.finding(project.id, DUPLICATES, arrays=True)
        if found is not None:
            return placed(pool.task, found.arrays["task"], found.arrays["middle"])
    return np.arange(len(pool))
