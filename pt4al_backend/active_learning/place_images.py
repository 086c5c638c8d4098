"""Give each image of the pool its place on a map, by its embedding.

First the plane of the two main principal components, at once. Then, when nothing else is to do, t-SNE arranges the
images so that neighbours stay together, in a thread that takes only what others leave of the processors. Images that
are added later are placed among those that they resemble, until the pool has grown so much that all are arranged again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.workspace import Job, Progress, Workspace
from pt4al_backend.assessment.projection import LANDMARKS, Neighbourhoods, Plane, Projection, edges_of, on_map
from pt4al_backend.store.embedding_file import EmbeddingFile
from pt4al_backend.store.findings import MAP
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

FEWEST = 3
"""Images that make a map."""
FEWEST_ARRANGED = 200
"""Images that t-SNE is worth it for."""
GROWN = 1.25
"""With so many times the images that were arranged, all are arranged again."""
AT_ONCE = 5000
"""Images whose embeddings are read at a time."""
PAUSE = 0.2  # seconds between two looks at the thread
DRAWING, ARRANGING = "drawing the map", "arranging the map"
T = TypeVar("T")


def map_due(workspace: Workspace, project: Project, pool: PoolArrays) -> bool:
    """Whether images have no place yet, or the map is of another encoder."""
    if not workspace.assesses or len(pool) < FEWEST:
        return False
    found = workspace.store.finding(project.id, MAP)
    if found is None or found.body["encoder"] != workspace.networks.encoder_name(project):
        return True
    return bool(found.body["newest"] < pool.task[-1] or found.body["images"] < len(pool))


def arrangement_due(workspace: Workspace, project: Project) -> bool:
    """Whether the map shows the principal components of enough images."""
    found = workspace.store.finding(project.id, MAP) if workspace.assesses else None
    return found is not None and not found.body["arranged"] and found.body["images"] >= FEWEST_ARRANGED


def place_images(workspace: Workspace) -> Job:
    """Compute and store the places of all images: among those that were arranged, or in the plane."""
    project = workspace.project()
    pool, file = _embedded(workspace, project)
    found = workspace.store.finding(project.id, MAP, arrays=True)
    if found is not None and found.body["encoder"] == workspace.networks.encoder_name(project):
        arranged = found.body["arranged"]
        if len(pool) < GROWN * arranged:
            projection = Neighbourhoods.of_arrays(found.arrays)
            yield from _place(workspace, pool, file, projection, edges=found.arrays["edges"], arranged=arranged)
            return
    yield Progress(0.0, DRAWING)
    yield from _place(workspace, pool, file, Plane.of(file.read(_sample(pool, AT_ONCE))))


def arrange_images(workspace: Workspace) -> Job:
    """Arrange the images by t-SNE, and store their places; given up when images are added meanwhile."""
    project = workspace.project()
    pool, file = _embedded(workspace, project)
    sample, seed = file.read(_sample(pool, LANDMARKS)), workspace.settings.seed
    work = _in_background(lambda: Neighbourhoods.of(sample, seed=seed))
    while True:
        try:
            next(work)
        except StopIteration as end:
            projection: Neighbourhoods = end.value
            break
        if workspace.store.totals(project.id).waiting:
            return
        yield Progress(0.0, ARRANGING)
    yield from _place(workspace, pool, file, projection, arranged=len(pool))


def _place(
    workspace: Workspace,
    pool: PoolArrays,
    file: EmbeddingFile,
    projection: Projection,
    *,
    edges: NDArray[np.float32] | None = None,
    arranged: int = 0,
) -> Job:
    """Store where `projection` places images.

    Args:
        workspace: of the project.
        pool: the images.
        file: their embeddings.
        projection: gives places.
        edges: those of the map that is there, so that nothing on it moves.
        arranged: how many images `projection` was made for, if it is an arrangement.
    """
    project = workspace.project()
    places = np.empty((len(pool), 2), np.float32)
    for start in range(0, len(pool), AT_ONCE):
        part = slice(start, start + AT_ONCE)
        places[part] = projection.place(file.read(pool.row[part]))
        yield Progress(min(1.0, (start + AT_ONCE) / len(pool)), DRAWING)
    edges = edges_of(places) if edges is None else edges
    x, y = on_map(places, edges).T
    arrays = {"task": pool.task, "x": x, "y": y}
    if isinstance(projection, Neighbourhoods):
        arrays |= {"edges": edges, **projection.arrays()}
    body = {
        "encoder": workspace.networks.encoder_name(project),
        "images": len(pool),
        "newest": int(pool.task[-1]),
        "arranged": arranged,
    }
    workspace.store.save_finding(project.id, MAP, body, revision=project.labels_revision, arrays=arrays)


def _embedded(workspace: Workspace, project: Project) -> tuple[PoolArrays, EmbeddingFile]:
    """The images that have embeddings, and these."""
    pool, file = workspace.store.pool(project), workspace.networks.embeddings(project).vectors
    there = file.has(pool.row)
    arrays: dict[str, Any] = {name: array[there] for name, array in vars(pool).items()}
    return PoolArrays(**arrays), file


def _sample(pool: PoolArrays, most: int) -> NDArray[np.int64]:
    """Rows of at most so many images, evenly spaced."""
    return pool.row[np.linspace(0, len(pool) - 1, min(len(pool), most)).astype(np.int64)]


def _in_background(work: Callable[[], T]) -> Generator[None, None, T]:
    """Do `work` in a thread of lowest priority; yields until it is done. If it is given up, the result is dropped."""
    future: Future[T] = Future()

    def run() -> None:
        with suppress(OSError, AttributeError):  # the system gives threads no priority of their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
        try:
            future.set_result(work())
        except BaseException as error:  # raised where the result is taken
            future.set_exception(error)

    threading.Thread(target=run, name="arrange", daemon=True).start()
    while not future.done():
        with suppress(TimeoutError):
            future.exception(timeout=PAUSE)
        yield
    return future.result()
