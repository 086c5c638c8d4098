"""Compute the features that linear probes are fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.stored_networks import StoredNetworks
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace


def extract_features(workspace: Workspace, rows: NDArray[np.int64]) -> Job:
    """Compute features of the network in office for `rows`."""
    yield from extract_for(workspace, StoredNetworks.current(workspace.project()), rows)


def extract_for(workspace: Workspace, name: str, rows: NDArray[np.int64], *, since: float = 0.0) -> Job:
    features, grid = workspace.networks.features(name), workspace.networks.grid(name)
    done = 0
    chunks = learning.extract_features(
        workspace.networks.weights(name), workspace.pixels(workspace.project()), rows, device=workspace.device
    )
    for chunk, values, cells in chunks:
        features.write(chunk, values)
        if grid is not None and cells is not None:
            grid[0].write(chunk, cells.reshape(len(chunk), -1))
        done += len(chunk)
        yield Progress(since + (1 - since) * done / len(rows), f"features of {done} of {len(rows)} images")
