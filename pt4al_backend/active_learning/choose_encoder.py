"""Choose the encoder of a project, and change to another one when the settings name another.

While another encoder embeds the images, the one in use serves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Generator
from concurrent.futures import wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.embed import embed_into
from pt4al_backend.active_learning.embedding_files import EmbeddingFiles
from pt4al_backend.active_learning.sort_pool import invalidate_training
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, threads
from pt4al_backend.errors import LearningError
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

AT_ONCE = 2000  # images that are embedded before new images have their turn
PATIENCE = 300.0  # seconds until an encoder that could not be had is tried again
Columns = dict[str, Any]
NOT_TUNED: Columns = {"tuned_generation": 0, "tuned_labels": 0, "tuned_accuracy": None, "probe_accuracy": None}
"""The columns of a project whose encoder has not been fine-tuned yet."""


def wants_change(workspace: Workspace, project: Project) -> bool:
    """Whether the project is to use another encoder than the one in use, and it is time to try."""
    return (workspace.encoder or "") != project.encoder and time.monotonic() >= workspace.retry_encoder_at


def serves(project: Project) -> bool:
    """Whether an order has been made with the encoder in use."""
    return bool(project.ranked_pool if project.encoder else project.pretext_generation)


def choose_encoder(workspace: Workspace, *, median_side: int, dense: bool) -> Generator[Progress, None, Columns]:
    """Choose the wanted encoder, the built-in one if that cannot be had, or at last the project's own networks.

    Args:
        workspace: the project's.
        median_side: of the shorter sides of the project's images, in pixels.
        dense: whether patch embeddings are needed.

    Returns:
        The columns of the project that name the encoder.
    """
    note = ""
    for name in dict.fromkeys([workspace.encoder, learning.DEFAULT_ENCODER]) if workspace.encoder else ():
        size = learning.choose_input_size(name, median_side, device=workspace.device, dense=dense)
        try:
            encoder = yield from _made(workspace, name, size, dense)
        except LearningError as error:
            note = note or _noted(workspace, error)
        else:
            return {"encoder": name, "input_size": encoder.input_size, "encoder_note": note}
    return {"encoder": "", "input_size": 0, "encoder_note": note}


def adopt_encoder(workspace: Workspace) -> Job:
    """Use the wanted encoder from now on: the one in use serves nothing."""
    project = workspace.project()
    side = workspace.store.typical_side(project.id) or project.image_size
    columns = yield from choose_encoder(workspace, median_side=side, dense=project.dense)
    if not columns["encoder"] and workspace.networks.pretext_encoder(project):
        columns |= {"pretext_generation": 0, "pretext_pool": 0}  # a network has to learn the pretext task
    invalidate_training(workspace)  # a head on the old encoder may be under way
    workspace.store.update(project.id, ranked_pool=0, **columns, **NOT_TUNED)


def change_encoder(workspace: Workspace) -> Job:
    """Embed images with the wanted encoder; it replaces the one in use once all are embedded.

    If it cannot be had, a note says why, and the one in use goes on serving.
    """
    project = workspace.project()
    name, size = workspace.encoder or workspace.networks.newest(project), 0
    try:
        if workspace.encoder:
            side = workspace.store.typical_side(project.id) or project.image_size
            size = learning.choose_input_size(name, side, device=workspace.device, dense=project.dense)
            size = (yield from _made(workspace, name, size, project.dense)).input_size
        files = workspace.networks.embeddings(project, name, input_size=size)
        yield from embed_into(workspace, files, _missing(workspace, project, files)[:AT_ONCE])
    except LearningError as error:
        workspace.store.update(project.id, encoder_note=_noted(workspace, error))
        return
    if not len(_missing(workspace, project, files)):
        workspace.store.update(
            project.id, encoder=workspace.encoder or "", input_size=size, encoder_note="", **NOT_TUNED
        )
        workspace.networks.tidy(workspace.project())
        logger.info("project %d: its images are embedded with %s now", project.number, name)


def _noted(workspace: Workspace, error: LearningError) -> str:
    """The error as a note; another attempt waits."""
    workspace.retry_encoder_at = time.monotonic() + PATIENCE
    logger.warning("project %d: %s", workspace.project().number, error)
    return str(error)


def _missing(workspace: Workspace, project: Project, files: EmbeddingFiles) -> NDArray[np.int64]:
    return files.missing(workspace.store.pool(project).row)


def _made(workspace: Workspace, name: str, input_size: int, dense: bool) -> Generator[Progress, None, learning.Encoder]:
    """Download an encoder if need be, and make it."""
    fetching = learning.fetch_encoder(name, directory=workspace.networks.downloads, offline=workspace.settings.offline)
    while True:
        with workspace.unlocked():
            progress = next(fetching, None)
        if progress is None:
            break
        yield Progress(progress.done, f"downloading the encoder {name}", progress.eta_seconds)
    with threads(1) as executor:
        making = executor.submit(workspace.networks.make, name, input_size, dense=dense)
        while not making.done():
            with workspace.unlocked():
                wait([making], timeout=0.3)
            yield Progress(0.0, f"loading the encoder {name}")
        return making.result()
