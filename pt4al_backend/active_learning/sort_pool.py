"""Learns the pretext task, sorts the pool by its loss and cuts it into batches (PT4AL, sections 3.1 and 3.2)."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, follow
from pt4al_backend.errors import LearningError
from pt4al_backend.sampling import batches
from pt4al_backend.sampling.orders import current_name
from pt4al_backend.settings import Settings
from pt4al_backend.store.checkpoints import CheckpointFile, load_arrays, save_arrays
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

Rows = NDArray[np.int64]


def by_network(workspace: Workspace, project: Project) -> bool:
    """Whether a network has to learn the pretext task, and not a head on the pretrained encoder in use.

    The network's embeddings are needed where no pretrained encoder is to give them.
    """
    return not (project.encoder and workspace.encoder)


def pretext_is_of_another_encoder(workspace: Workspace, project: Project) -> bool:
    """Whether the pretext task was learned on an encoder that is not, or will not be, in use."""
    learned_on = workspace.networks.pretext_encoder(project)
    return bool(learned_on) and (by_network(workspace, project) or learned_on != project.encoder)


def pretext(workspace: Workspace) -> Job:
    """Learn the pretext task on the pool, then sort the pool by its loss and cut it into batches."""
    project = workspace.project()
    generation = project.pretext_generation + 1
    name = f"pretext-{generation}"
    snapshot, saved = _unfinished(workspace, project)
    task, row = _pool_snapshot(snapshot, workspace.store.pool(project))
    checkpoint = CheckpointFile(saved)
    network = by_network(workspace, project)
    until = 0.9 if network else 0.2
    try:
        learn = _train_network if network else _train_head
        weights = yield from follow(
            learn(workspace, project, row, checkpoint), "learning the rotation task", until=until
        )
        pool = workspace.store.pool(project)  # images may have been added or removed meanwhile
        measure = _losses(workspace, project, weights, pool.row)
        losses = yield from follow(measure, "measuring the pretext loss", since=until)
        if not np.isfinite(losses).all():
            raise LearningError("The pretext training diverged. Set PT4AL_SEED to another number.")
    except LearningError:
        checkpoint.delete()  # otherwise the training would resume from a bad state
        raise
    if len(pool):
        known = int(np.isin(task, pool.task).sum())
        save_arrays(workspace.networks.path(f"{name}.safetensors"), weights.arrays, weights.spec)
        workspace.store.save_batches(
            workspace.project_id,
            task=pool.task,
            loss=losses,
            **_cut(workspace, pool.task, losses, trained_on=known or len(pool)),
            pretext_generation=generation,
            pretext_pool=known,
            main_round=-1,  # rounds are counted again
        )
    checkpoint.delete()
    snapshot.unlink()
    workspace.networks.tidy(workspace.project())


def _train_network(
    workspace: Workspace, project: Project, rows: Rows, checkpoint: CheckpointFile
) -> Generator[learning.Progress, None, learning.Weights]:
    return learning.train_pretext(
        workspace.pixels(project),
        rows,
        recipe=workspace.recipe(project, pool=len(rows)).pretext,
        seed=workspace.settings.seed,
        device=workspace.device,
        checkpoint=checkpoint,
    )


def _train_head(
    workspace: Workspace, project: Project, rows: Rows, _: CheckpointFile
) -> Generator[learning.Progress, None, learning.Weights]:
    return learning.train_rotation_head(
        workspace.networks.make(project.encoder, learning.HEAD_SIDE, dense=False),
        workspace.pixels(project),
        rows,
        seed=workspace.settings.seed,
        device=workspace.device,
    )


def _losses(
    workspace: Workspace, project: Project, weights: learning.Weights, rows: Rows
) -> Generator[learning.Progress, None, NDArray[np.float64]]:
    """Pretext losses (n,) of the images in `rows`, by the network or the head that learned the pretext task."""
    pixels, encoder = workspace.pixels(project), learning.head_encoder(weights.spec)
    if not encoder:
        return learning.pretext_losses(weights, pixels, rows, device=workspace.device)
    made = workspace.networks.make(encoder, weights.spec["image_size"], dense=False)
    return learning.rotation_head_losses(weights, made, pixels, rows, device=workspace.device)


def _unfinished(workspace: Workspace, project: Project) -> tuple[Path, Path]:
    """The files from which an interrupted training resumes: its pool, and its checkpoint."""
    name = f"pretext-{project.pretext_generation + 1}"
    return workspace.networks.path(f"{name}.pool.safetensors"), workspace.networks.path(
        f"{name}.checkpoint.safetensors"
    )


def is_under_way(workspace: Workspace) -> bool:
    """Whether a training has begun that may be continued."""
    return _unfinished(workspace, workspace.project())[0].exists()


def invalidate_training(workspace: Workspace) -> None:
    """Make an interrupted training start again, because some of its images were replaced."""
    for path in _unfinished(workspace, workspace.project()):
        path.unlink(missing_ok=True)


def recut(workspace: Workspace) -> Job:
    """Cut the batches again from the known losses, because the settings have changed."""
    project = workspace.project()
    pool = workspace.store.pool(project)
    yield Progress(0.0, "cutting batches")
    columns = _cut(workspace, pool.task, pool.loss, trained_on=project.pretext_pool)
    workspace.store.save_batches(workspace.project_id, task=pool.task, loss=pool.loss, **columns, main_round=-1)


def cut_as_wanted(project: Project, settings: Settings) -> bool:
    """Whether the batches are cut according to the settings."""
    cut = (project.cycles, current_name(project.order))
    return cut == (min(settings.cycles, project.pretext_pool), settings.method.order)


def _pool_snapshot(path: Path, pool: PoolArrays) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The images that a training started with, so that it can resume although images were added or removed."""
    loaded = load_arrays(path)
    if loaded is not None and 1.5 * np.isin(loaded[0]["task"], pool.task).sum() > len(pool):
        return loaded[0]["task"], loaded[0]["row"]
    save_arrays(path, {"task": pool.task, "row": pool.row}, {})
    return pool.task, pool.row


def _cut(
    workspace: Workspace, task: NDArray[np.int64], losses: NDArray[np.float64], *, trained_on: int
) -> dict[str, Any]:
    """The batch of each image, and the project's columns that say how the batches were cut."""
    settings = workspace.settings
    cycles = min(settings.cycles, trained_on)
    order = settings.method.order
    batch = np.empty(len(task), dtype=np.int64)
    hardest_first = batches.hardest_first(losses, task)
    batch[hardest_first] = batches.cut(len(task), cycles=cycles, order=order, seed=settings.seed)
    query_size = batches.query_size_for(len(task), cycles=cycles)
    return {"batch": batch, "cycles": cycles, "order": order, "query_size": query_size}


def score_late_images(workspace: Workspace) -> Job:
    """Measure the loss of images that came after the batches were cut, and add each to the batch of its loss."""
    project = workspace.project()
    pool = workspace.store.pool(project)
    late = np.isnan(pool.loss)
    losses = pool.loss.copy()
    weights = workspace.networks.weights(f"pretext-{project.pretext_generation}")
    measure = _losses(workspace, project, weights, pool.row[late])
    losses[late] = yield from follow(measure, "measuring the pretext loss of new images")
    if late.all():  # the whole pool was replaced: these batches serve until the network is trained again
        columns = _cut(workspace, pool.task, losses, trained_on=len(pool))
        workspace.store.save_batches(
            workspace.project_id, task=pool.task, loss=losses, **columns, pretext_pool=0, main_round=-1
        )
        return
    order = current_name(project.order)
    joined = batches.join(losses[late], losses[~late], pool.batch[~late], cycles=project.cycles, order=order)
    workspace.store.save_batches(
        workspace.project_id,
        task=pool.task[late],
        loss=losses[late],
        batch=joined,
        pretext_pool=min(project.pretext_pool, int((~late).sum())),
    )
