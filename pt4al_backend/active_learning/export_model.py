"""Take the model home: what answers a question now, as one ONNX file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import numpy as np

from pt4al_backend import __version__, learning
from pt4al_backend.active_learning.fit_probes import fit_probes, targets_of
from pt4al_backend.active_learning.schedule import chosen_strategy, ranked_pool
from pt4al_backend.active_learning.training_data import ProbeInputs, answered, output
from pt4al_backend.active_learning.workspace import Workspace, questions
from pt4al_backend.encoder_catalogue import licence_text
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.questions import Question
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

OWN = "Trained on the images of this project alone: nobody else's weights are in it."
FROM_IMAGENET = (
    "Its training began with the weights that PT4AL_IMAGENET_WEIGHTS names: read their licence before you use it."
)


@dataclass(frozen=True)
class ExportedModel:
    """A model that answers one question."""

    file: bytes
    """ONNX, as `learning.onnx_model` makes it."""
    question: str
    """Its name."""
    encoder: str
    """Name of the encoder."""
    labels: int
    """How many images its linear probe was fitted on, or its network trained on."""
    licence: str
    """A sentence about the licence of the encoder's weights."""


def export_model(workspace: Workspace, name: str = "") -> ExportedModel:
    """The model that answers a question now, with its probe fitted on all labels, as for a new order.

    The file says about itself (`metadata_props`): `question`, `label_type`, `classes` (JSON, one per probability),
    `version` (the published one), `labels`, `encoder`, `input_side` in pixels, `licence` (of the encoder's weights),
    `project`, `backend`.

    Args:
        workspace: the project's.
        name: of the question; "" for the only one.

    Raises:
        PT4ALError: There is no such question, nothing has been learned yet, or the encoder cannot be exported.
    """
    project = workspace.project()
    question = _chosen(project, name)
    if not (project.encoder or project.pretext_generation):
        raise PT4ALError("Nothing has been learned yet: wait until the dashboard says that the project is ready.")
    pool, inputs = _pool(workspace, project), workspace.probe_inputs(project)
    heads = fit_probes(pool, [question], inputs)
    if question.name not in heads:
        raise PT4ALError(f"No image with an answer to {question.name} is embedded yet: label one, or wait for it.")
    encoder, licence = workspace.networks.encoder(project), _licence(workspace, project)
    shape = output(question, background=workspace.background)
    trained = question.name in inputs.trained_heads
    labels = project.main_labels if trained else _labels(pool, question, inputs)
    metadata = {
        "question": question.name,
        "label_type": question.label_type.name,
        "classes": json.dumps(question.label_type.output_names(question, background=workspace.background)),
        "version": project.model_version,
        "labels": str(labels),
        "encoder": _without_directory(encoder.name if not project.encoder else project.encoder),
        "fine_tuned": json.dumps(bool(workspace.networks.tuned(project))),
        "input_side": str(encoder.input_size),
        "licence": licence,
        "project": project.title,
        "backend": f"pt4al-backend {__version__}",
    }
    side = learning.mask_side(project.image_size) if question.label_type.dense else 0
    file = learning.onnx_model(encoder, heads[question.name], shape, mask_side=side, metadata=metadata)
    return ExportedModel(file, question.name, metadata["encoder"], labels, licence.partition("\n")[0])


def _chosen(project: Project, name: str) -> Question:
    """The question of that name, or the only one."""
    asked = questions(project)
    found = [question for question in asked if question.name == name or (not name and len(asked) == 1)]
    if not found:
        known = ", ".join(question.name for question in asked) or "none yet"
        raise PT4ALError(
            f"The project does not ask {name}: it asks {known}."
            if name
            else f"Each question has a model of its own: choose one with --question. The project asks {known}."
        )
    return found[0]


def _pool(workspace: Workspace, project: Project) -> PoolArrays:
    """The images that are ranked: some of them tell how embeddings are distributed."""
    pool = workspace.store.pool(project)
    if not project.encoder:
        return pool.in_batches()
    embedded = workspace.networks.embeddings(project).has(pool.row)
    return ranked_pool(pool, embedded, chosen_strategy(workspace.settings, dense=project.dense, pretrained=True))


def _labels(pool: PoolArrays, question: Question, inputs: ProbeInputs) -> int:
    labelled = np.flatnonzero(inputs.known(pool.row) & pool.labelled)
    return int(answered(targets_of(pool, question, inputs, labelled)).sum())


def _licence(workspace: Workspace, project: Project) -> str:
    if project.encoder:
        return licence_text(project.encoder)
    trained_further = workspace.settings.method.init == "imagenet" and project.main_generation
    return FROM_IMAGENET if trained_further else OWN


def _without_directory(encoder: str) -> str:
    """The name of an encoder; of a file with weights, without its directory."""
    return re.sub(r"[^@]*/", "", encoder)
