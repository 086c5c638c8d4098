"""Fine-tune the pretrained encoder on the labels, when nothing else is missing. It serves only while it is better.

It replaces the encoder as it was if it predicts labels better that it has not seen, and is given up when a later trial
no longer says so. Until then nothing changes for people.
"""

from __future__ import annotations

import logging

import numpy as np

from pt4al_backend import learning
from pt4al_backend.active_learning.choose_encoder import NOT_TUNED
from pt4al_backend.active_learning.embed import embed_into
from pt4al_backend.active_learning.embedding_files import file_names
from pt4al_backend.active_learning.tuning_trial import Trial, begun, tuned_name
from pt4al_backend.active_learning.workspace import Job, Workspace, questions
from pt4al_backend.store.checkpoints import save_arrays
from pt4al_backend.store.tables import Project

logger = logging.getLogger(__name__)

FEWEST, FEWEST_PER_CLASS = 200, 10
"""With fewer labels it is not tried."""
GROWTH = 1.5
"""It is tried again when the labels have grown by this factor, or shrunk."""


def tuning_due(workspace: Workspace, project: Project, labelled: int) -> bool:
    """Whether there are enough labels, and other ones than at the last trial; or it is to be given up."""
    if not _may_tune(workspace, project, labelled):
        return bool(project.tuned_generation)
    tried = project.tuned_labels
    other = labelled >= GROWTH * tried or tried >= GROWTH * labelled
    requested = project.train_requested_at > project.main_requested_at
    return (other or requested) and learning.is_tunable(workspace.networks.encoder(project, project.encoder))


def fine_tune(workspace: Workspace) -> Job:
    """Try whether the fine-tuned encoder is better. It takes over once it has embedded all images."""
    project = workspace.project()
    labelled = int(workspace.store.pool(project).training.sum())
    if not _may_tune(workspace, project, labelled):
        workspace.store.update(project.id, **NOT_TUNED)
        workspace.networks.tidy(workspace.project())
        return
    trial = yield from begun(workspace, project)
    yield from trial.cross_validate()
    before, after = trial.accuracies
    generation = project.tuned_trials + 1
    if trial.is_better:
        yield from _embed(workspace, project, trial)
    columns = {
        "tuned_generation": generation if trial.is_better else 0,
        "tuned_trials": generation,
        "tuned_labels": labelled,
        "tuned_accuracy": after,
        "probe_accuracy": before,
        "main_requested_at": project.train_requested_at,
    }
    workspace.store.update(project.id, **columns)
    trial.checkpoint.delete()
    workspace.networks.tidy(workspace.project())
    logger.info(
        "project %d: the fine-tuned encoder is right about %.1f %% of %d labels in a cross-validation, the encoder "
        "as it was about %.1f %%: it %s",
        *(project.number, 100 * after, labelled, 100 * before, "serves" if trial.is_better else "does not serve"),
    )


def is_lost(workspace: Workspace, project: Project) -> bool:
    """Whether the file of the fine-tuned encoder in use is missing: somebody made room on the disk."""
    name = workspace.networks.tuned(project)
    return bool(name) and not workspace.networks.path(f"{name}.safetensors").exists()


def _may_tune(workspace: Workspace, project: Project, labelled: int) -> bool:
    fewest = max([FEWEST, *(FEWEST_PER_CLASS * len(question.classes) for question in questions(project))])
    return workspace.fine_tunes and workspace.settings.fine_tune and bool(project.encoder) and labelled >= fewest


def _embed(workspace: Workspace, project: Project, trial: Trial) -> Job:
    """Fine-tune the encoder on all labels, and embed the pool with it."""
    name, networks = tuned_name(project), workspace.networks
    path = networks.path(f"{name}.safetensors")
    if not path.exists():
        for left in file_names(name, input_size=project.input_size):  # by a run that was killed
            networks.path(left).unlink(missing_ok=True)
        everything = np.ones(len(trial.rows), dtype=bool)
        arrays = yield from trial.tuned(everything, "fine-tuning the encoder", since=0.0, until=0.9)
        spec = {"encoder": project.encoder, "questions": project.questions, "temperatures": trial.temperatures}
        save_arrays(path, arrays, spec)
    files = networks.embeddings(project, name, input_size=project.input_size)
    pool = workspace.store.pool(project)
    yield from embed_into(workspace, files, files.missing(pool.row), since=0.9)
