"""The pretext task and the batches that come of it (PT4AL, sections 3.1 and 3.2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.jobs.bench import Bench, Job, follow, tidy
from pt4al_backend.sampling import batches
from pt4al_backend.settings import Settings
from pt4al_backend.store.checkpoints import CheckpointFile, load_arrays, save_arrays
from pt4al_backend.store.store import PoolArrays


def pretext(bench: Bench) -> Job:
    """Train the rotation network on the pool, then sort the pool by its loss and cut it into batches."""
    project = bench.project()
    generation = project.pretext_generation + 1
    name = f"pretext-{generation}"
    snapshot = bench.model_path(f"{name}.pool.safetensors")
    task, row = _pool_snapshot(snapshot, bench.store.pool(project))
    checkpoint = CheckpointFile(bench.model_path(f"{name}.checkpoint.safetensors"))
    recipe = bench.recipe(project, pool=len(task)).pretext
    pixels = bench.pixels(project)
    weights = yield from follow(
        learning.train_pretext(
            pixels, row, recipe=recipe, seed=bench.settings.seed, device=bench.device, checkpoint=checkpoint
        ),
        "learning rotations",
        until=0.9,
    )
    losses = yield from follow(
        learning.pretext_losses(weights, pixels, row, device=bench.device), "measuring the pretext loss", since=0.9
    )
    save_arrays(bench.model_path(f"{name}.safetensors"), weights.arrays, weights.spec)
    _save_first_batches(bench, task, losses, generation)
    checkpoint.delete()
    snapshot.unlink()
    tidy(bench)


def _pool_snapshot(path: Path, pool: PoolArrays) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The images a training began with, so that it can go on after a kill although others arrived."""
    loaded = load_arrays(path)
    if loaded is not None and 1.5 * len(loaded[0]["task"]) > len(pool):
        return loaded[0]["task"], loaded[0]["row"]
    save_arrays(path, {"task": pool.task, "row": pool.row}, {})
    return pool.task, pool.row


def _save_first_batches(bench: Bench, task: NDArray[np.int64], losses: NDArray[np.float64], generation: int) -> None:
    settings = bench.settings
    cycles = min(settings.cycles, len(task))
    order = _order(settings)
    rank = np.empty(len(task), dtype=np.int64)
    rank[batches.hardest_first(losses, task)] = np.arange(len(task))
    bench.store.save_batches(
        bench.project_id,
        task=task,
        loss=losses,
        batch=batches.cut(len(task), cycles=cycles, order=order, seed=settings.seed)[rank],
        rank=rank,
        cycles=cycles,
        query_size=settings.query_size or batches.query_size_for(len(task), cycles=cycles),
        order=order,
        pretext_generation=generation,
        pretext_pool=len(task),
    )


def _order(settings: Settings) -> batches.Order:
    if settings.order != "auto":
        return settings.order
    return "hard_first" if settings.preset == "paper" else "dealt"


def score_late_images(bench: Bench) -> Job:
    """Score images that came after the batches were cut, and let each join the batch its loss belongs to."""
    project = bench.project()
    pool = bench.store.pool(project)
    late = np.isnan(pool.loss)
    losses = pool.loss.copy()
    losses[late] = yield from follow(
        learning.pretext_losses(
            bench.weights(f"pretext-{project.pretext_generation}"),
            bench.pixels(project),
            pool.row[late],
            device=bench.device,
        ),
        "measuring the pretext loss of new images",
    )
    batch, rank = pool.batch.copy(), np.empty_like(pool.rank)
    order: batches.Order = project.order  # type: ignore[assignment]  # written by _save_first_batches
    batch[late] = batches.join(losses[late], losses[~late], batch[~late], cycles=project.cycles, order=order)
    rank[batches.hardest_first(losses, pool.task)] = np.arange(len(pool))
    bench.store.save_batches(bench.project_id, task=pool.task, loss=losses, batch=batch, rank=rank)
