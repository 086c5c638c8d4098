"""Give each image of the pool its place on a map: the first two principal components of its embedding.

It is drawn again when images are added, or another encoder is in use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.workspace import Job, Progress, Workspace
from pt4al_backend.assessment.principal_components import PrincipalComponents
from pt4al_backend.store.findings import MAP
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

FEWEST = 3
"""Images that make a map."""
AT_ONCE = 5000
"""Images whose embeddings are read at a time."""
WHAT = "drawing the map"
Places = NDArray[np.uint16]


def map_due(workspace: Workspace, project: Project, pool: PoolArrays) -> bool:
    """Whether images have no place yet, or the map is of another encoder."""
    if not workspace.assesses or len(pool) < FEWEST:
        return False
    found = workspace.store.finding(project.id, MAP)
    if found is None or found.body["encoder"] != workspace.networks.encoder_name(project):
        return True
    return bool(found.body["newest"] < pool.task[-1] or found.body["images"] < len(pool))


def place_images(workspace: Workspace) -> Job:
    """Compute and store the places of all images."""
    project = workspace.project()
    pool, encoder = workspace.store.pool(project), workspace.networks.encoder_name(project)
    file = workspace.networks.embeddings(project).vectors
    pool = PoolArrays(**{name: array[file.has(pool.row)] for name, array in vars(pool).items()})
    yield Progress(0.0, WHAT)
    sample = file.read(pool.row[np.linspace(0, len(pool) - 1, min(len(pool), AT_ONCE)).astype(np.int64)])
    components = PrincipalComponents.of(sample, 2)
    ends = np.quantile(components(sample), [0.005, 0.995], axis=0)  # a few odd images do not squeeze the others
    places: Places = np.empty((len(pool), 2), np.uint16)
    for start in range(0, len(pool), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        places[part] = _scaled(components(file.read(pool.row[part])), ends)
        yield Progress(min(1.0, (start + AT_ONCE) / len(pool)), WHAT)
    body = {"encoder": encoder, "images": len(pool), "newest": int(pool.task[-1])}
    arrays: dict[str, NDArray[Any]] = {"task": pool.task, "x": places[:, 0], "y": places[:, 1]}
    workspace.store.save_finding(project.id, MAP, body, revision=project.labels_revision, arrays=arrays)


def _scaled(values: NDArray[np.float32], ends: NDArray[np.floating]) -> Places:
    """(n, 2) from 0 to 65535; y grows downwards."""
    low, high = ends
    shares = np.clip((values - low) / np.maximum(high - low, 1e-12), 0, 1)
    shares[:, 1] = 1 - shares[:, 1]
    scaled: Places = np.round(65535 * shares).astype(np.uint16)
    return scaled
