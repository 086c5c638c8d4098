"""Embed the images that linear probes are fitted on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.embedding_files import EmbeddingFiles
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace


def embed(workspace: Workspace, rows: NDArray[np.int64]) -> Job:
    """Embed the images in `rows` with the encoder in use."""
    yield from embed_into(workspace, workspace.networks.embeddings(workspace.project()), rows)


def embed_into(workspace: Workspace, files: EmbeddingFiles, rows: NDArray[np.int64], *, since: float = 0.0) -> Job:
    """Embed the images in `rows` with the encoder of `files`."""
    done = 0
    pixels = workspace.pixels(workspace.project())
    for chunk, vectors, patches in files.encoder.embed(pixels, rows, device=workspace.device):
        files.write(chunk, vectors, patches)
        done += len(chunk)
        yield Progress(since + (1 - since) * done / len(rows), f"embedding images, {done} of {len(rows)}")
