"""Train the main network, and embed images with it."""

from __future__ import annotations

import logging
from collections.abc import Generator
from concurrent.futures import wait
from pathlib import Path

import numpy as np

from pt4al_backend import learning
from pt4al_backend.active_learning.embed import embed_into
from pt4al_backend.active_learning.embedding_files import file_names
from pt4al_backend.active_learning.schedule import schedule
from pt4al_backend.active_learning.training_data import answered, output
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, follow, questions, threads
from pt4al_backend.labelling.label_type import Drawings
from pt4al_backend.net.download import download
from pt4al_backend.store.checkpoints import save_arrays
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)


def train_main(workspace: Workspace) -> Job:
    """Train the main network on all labels. It replaces the last one once it has embedded what rankings need."""
    project = workspace.project()
    pool = workspace.store.pool(project)
    pool_round = project.round
    labelled = np.flatnonzero(pool.training)
    rows = pool.row[labelled]
    stored = workspace.store.answers(project.id)
    answers = [stored.get(task, {}) for task in pool.task[labelled].tolist()]
    background = workspace.background
    drawings = Drawings(rows, workspace.masks(project), background)
    targets = [question.label_type.targets(question, answers, drawings) for question in questions(project)]
    pixels = workspace.pixels(project)
    initial = yield from _initial_weights(workspace, project)
    weights = yield from follow(
        learning.train_main(
            pixels,
            rows,
            [output(question, background=background) for question in questions(project)],
            targets,
            recipe=workspace.recipe(project, pool=len(pool)).main,
            init=initial,
            seed=workspace.settings.seed + project.main_generation + 1,
            device=workspace.device,
        ),
        f"training on {len(labelled)} labels",
        until=0.9,
    )
    generation = project.main_generation + 1
    name = f"main-{generation}"
    spec = weights.spec | {"questions": project.questions, "answered": [bool(answered(each).any()) for each in targets]}
    for left in file_names(name):  # by a run that was killed
        workspace.networks.path(left).unlink(missing_ok=True)
    save_arrays(workspace.networks.path(f"{name}.safetensors"), weights.arrays, spec)
    embeddings = workspace.networks.embeddings(project, name)
    pool = workspace.store.pool(project).in_batches()
    wanted = schedule(pool, project, workspace.settings).rows(pool)
    yield from embed_into(workspace, embeddings, embeddings.missing(wanted), since=0.9)
    workspace.store.update(
        workspace.project_id,
        main_generation=generation,
        main_labels=len(labelled),
        main_round=pool_round,
        main_requested_at=project.train_requested_at,
    )
    workspace.networks.tidy(workspace.project())


def _initial_weights(workspace: Workspace, project: Project) -> Generator[Progress, None, learning.Weights | None]:
    init = workspace.settings.method.init
    if init == "pretext":
        return workspace.networks.weights(f"pretext-{project.pretext_generation}")
    if init == "scratch":
        return None
    source = workspace.settings.imagenet_weights
    path = Path(source).expanduser()
    if source.startswith("https://"):
        path = workspace.store.data_dir / "models" / "imagenet.safetensors"
        with threads(1) as executor:
            fetched = executor.submit(download, source, path, offline=workspace.settings.offline)
            while not fetched.done():
                with workspace.unlocked():
                    wait([fetched], timeout=0.3)
                yield Progress(0.0, "fetching ImageNet weights")
            fetched.result()
    return learning.load_imagenet(path)
