"""Embed images that were fetched before, with the encoder in use or the one that is to replace it.

Embeddings come from the stored pixels if these are as large as the encoder wants them, as with the project's own
networks; else the images are fetched again, and the stored pixels stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.embed_decoded import EmbeddedImage, Embedder, stacked
from pt4al_backend.active_learning.embedding_files import EmbeddingFiles
from pt4al_backend.active_learning.read_images import Failing, Image, image_reader, platform_failures
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, threads
from pt4al_backend.errors import UnreadableImageError

PAGE = 256  # image values in memory at a time: a value may contain an image (data:)


def embed(workspace: Workspace, rows: NDArray[np.int64]) -> Job:
    """Embed the images in `rows` with the encoder in use."""
    yield from embed_into(workspace, workspace.networks.embeddings(workspace.project()), rows)


def embed_into(workspace: Workspace, files: EmbeddingFiles, rows: NDArray[np.int64], *, since: float = 0.0) -> Job:
    """Embed the images in `rows` with the encoder of `files`."""
    if files.encoder.input_size > workspace.project().image_size:
        yield from _fetched(workspace, files, rows)
    else:
        yield from _stored(workspace, files, rows, since=since)


def _stored(workspace: Workspace, files: EmbeddingFiles, rows: NDArray[np.int64], *, since: float = 0.0) -> Job:
    """From the stored pixels."""
    done = 0
    pixels = workspace.pixels(workspace.project())
    for chunk, vectors, patches in files.encoder.embed(pixels, rows, device=workspace.device):
        files.write(chunk, vectors, patches)
        done += len(chunk)
        yield Progress(since + (1 - since) * done / len(rows), f"embedding images, {done} of {len(rows)}")


def _fetched(workspace: Workspace, files: EmbeddingFiles, rows: NDArray[np.int64]) -> Job:
    """From the images themselves; from the stored pixels where an image cannot be read any more."""
    pool = workspace.store.pool(workspace.project())
    row_of = dict(zip(pool.task.tolist(), pool.row.tolist(), strict=True))
    tasks = pool.task[np.isin(pool.row, rows)].tolist()
    failing: Failing = {}
    side, started, done = files.encoder.input_size, time.monotonic(), 0
    with image_reader(workspace) as reader, threads(1) as thread:
        embedder = Embedder(files.encoder, device=workspace.device, thread=thread)
        images = _images(workspace, tasks)
        for arrived in reader.concurrently(images, lambda *image: embedder.embed(reader.decode(*image, size=side))):
            embedded = {task: image for (task, _), image in arrived if isinstance(image, EmbeddedImage)}
            if embedded:
                files.write(np.array([row_of[task] for task in embedded]), *stacked([*embedded.values()]))
            gone = [task for (task, _), outcome in arrived if isinstance(outcome, UnreadableImageError)]
            yield from _stored(workspace, files, np.array([row_of[task] for task in gone], dtype=np.int64))
            failing |= platform_failures(arrived)
            done += len(arrived)
            seconds = time.monotonic() - started
            left = (len(tasks) - done) * seconds / max(done, 1)
            yield Progress(done / len(tasks), f"embedding images, {done} of {len(tasks)}", left)
        late = yield from reader.given_up(failing)
    yield from _stored(workspace, files, np.array([row_of[task] for task, _ in late], dtype=np.int64))
    for image, error in failing.items():
        if image not in late:
            raise error


def _images(workspace: Workspace, tasks: list[int]) -> Iterator[Image]:
    for start in range(0, len(tasks), PAGE):
        yield from workspace.store.images(workspace.project_id, tasks[start : start + PAGE])
