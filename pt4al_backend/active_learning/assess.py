"""Measure how good the model is, and find labels that look wrong, when the labels have grown and nobody waits.

The estimate comes from held-out images once enough of them are labelled (`hold_out`). Until then the model is
cross-validated on its labels: five probes, each fitted on four fifths of them. Those images were chosen because they
are hard or different, so the estimate may be off; pages say so.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Hashable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.fit_probes import fit_probes, targets_of
from pt4al_backend.active_learning.forecast_labels import forecast_labels
from pt4al_backend.active_learning.hold_out import LEAST
from pt4al_backend.active_learning.training_data import ProbeInputs, answered, output
from pt4al_backend.active_learning.workspace import Job, Progress, Workspace, questions
from pt4al_backend.assessment import annotators, label_errors, quality
from pt4al_backend.labelling.questions import Question
from pt4al_backend.store.findings import QUALITY, SUSPECTS
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

FEWEST = 10
"""With fewer labels nothing is measured."""
GROWTH, STEP = 0.05, 5
"""It is measured again when there are more or fewer labels by this part, and by so many at least."""
MOST_LISTED = 500
"""Labels that look wrong are stored up to this number, the worst first."""
Floats = NDArray[np.floating[Any]]


def assessment_due(workspace: Workspace, project: Project, labelled: int) -> bool:
    """Whether the labels have changed enough since the model was last measured, or another encoder is in use."""
    if not workspace.assesses or labelled < FEWEST or all(each.label_type.dense for each in questions(project)):
        return False
    before = workspace.store.finding(project.id, QUALITY)
    if before is None or before.body["encoder"] != workspace.networks.encoder_name(project):
        return True
    if before.body["questions_asked"] != project.questions:
        return True
    return abs(labelled - before.body["labels"]) >= max(STEP, GROWTH * before.body["labels"])


def assess(workspace: Workspace) -> Job:
    """Measure the model, and judge the labels."""
    project = workspace.project()
    pool, encoder = workspace.store.pool(project), workspace.networks.encoder_name(project)
    # A fine-tuned encoder has seen the labels that a cross-validation would leave out.
    unseen = workspace.probe_inputs(project, project.encoder or None)
    asked = [question for question in questions(project) if not question.label_type.dense]
    reports: list[dict[str, Any]] = []
    suspects: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for question in asked:
        crossed = yield from _cross_validated(pool, question, unseen)
        held_out = _on_held_out(workspace, project, pool, question)
        measured = held_out if held_out is not None else crossed
        if measured is None:
            continue
        at, labels, probabilities = measured
        measure = quality.single_quality if labels.ndim == 1 else quality.multiple_quality
        found = measure(labels, probabilities)
        if found is None:
            continue
        estimate = found.accuracy if isinstance(found, quality.SingleQuality) else found.images_right
        reports.append(
            {
                "question": question.name,
                "label_type": question.label_type.name,
                "held_out": held_out is not None,
                "estimate": asdict(estimate),
                "quality": asdict(found),
            }
        )
        if not arrays and labels.ndim == 1:
            arrays = {"task": pool.task[at], "truth": labels, "guess": probabilities.argmax(axis=1)}
        if crossed is not None:
            suspects += _suspects(pool, question, crossed, unseen)
    _add_to_curve(workspace, project, pool, reports)
    revision = project.labels_revision
    workspace.store.save_finding(
        project.id,
        QUALITY,
        {
            "labels": int(pool.labelled.sum()),
            "encoder": encoder,
            "questions_asked": project.questions,
            "questions": reports,
            "forecast": forecast_labels(workspace, project, pool=int((~pool.skipped).sum())),
        },
        revision=revision,
        arrays=arrays,
    )
    suspects.sort(key=lambda each: float(each["quality"]))
    people = _annotators(workspace, project, asked, arrays)
    body = {"labels": suspects[:MOST_LISTED], "checked": int(pool.training.sum()), "annotators": people}
    workspace.store.save_finding(project.id, SUSPECTS, body, revision=revision)


def _cross_validated(
    pool: PoolArrays, question: Question, inputs: ProbeInputs
) -> Generator[Progress, None, tuple[NDArray[np.int64], NDArray[Any], Floats] | None]:
    """Positions (l,) of the labels that are learned from, these, and the probabilities by probes that did not see them.

    None with too few labels.
    """
    at = np.flatnonzero(pool.training & inputs.known(pool.row))
    labels = targets_of(pool, question, inputs, at)
    at, labels = at[answered(labels)], np.asarray(labels)[answered(labels)]
    if len(at) < FEWEST:
        return None
    features, shape = inputs.read(question.label_type, pool.row[at]), output(question, background=inputs.background)
    work = learning.out_of_fold_probabilities(features, labels, shape, pool=inputs.of_pool(pool.row))
    while True:
        try:
            progress = next(work)
        except StopIteration as end:
            return at, labels, end.value
        yield Progress(progress.done, "measuring the model")


def _on_held_out(
    workspace: Workspace, project: Project, pool: PoolArrays, question: Question
) -> tuple[NDArray[np.int64], NDArray[Any], Floats] | None:
    """The same for the held-out images, by the probe that serves; None if too few of them are labelled."""
    inputs = workspace.probe_inputs(project)
    at = np.flatnonzero(pool.labelled & pool.held_out & inputs.known(pool.row))
    if len(at) < LEAST:
        return None
    labels = np.asarray(targets_of(pool, question, inputs, at))
    at, labels = at[answered(labels)], labels[answered(labels)]
    heads = fit_probes(pool, [question], inputs)
    if len(at) < LEAST or question.name not in heads:
        return None
    logits = heads[question.name].logits(inputs.read(question.label_type, pool.row[at]))
    return at, labels, question.label_type.probabilities(logits)


def _suspects(
    pool: PoolArrays,
    question: Question,
    crossed: tuple[NDArray[np.int64], NDArray[Any], Floats],
    inputs: ProbeInputs,
) -> list[dict[str, Any]]:
    """The labels of one question that confident learning calls errors, worst first."""
    at, labels, probabilities = crossed
    judge = label_errors.errors_of_one_class if labels.ndim == 1 else label_errors.errors_of_any_classes
    judged = judge(labels, probabilities, inputs.embeddings.read(pool.row[at]))
    found = []
    for place in np.flatnonzero(judged.errors)[:MOST_LISTED].tolist():
        position = int(at[judged.positions[place]])
        task = int(pool.task[position])
        answer = inputs.answers[task][question.name]
        instead = question.classes[int(judged.instead[place])]
        found.append(
            {
                "task": task,
                "question": question.name,
                "answer": json.dumps(answer),
                "quality": float(judged.quality[place]),
                "instead": instead,
                "probability": float(judged.probability[place]),
            }
        )
    return found


def _annotators(
    workspace: Workspace, project: Project, asked: list[Question], arrays: dict[str, NDArray[Any]]
) -> dict[str, Any]:
    """What is known about the annotators, by their answers to the first question."""
    if not asked:
        return {"each": [], "together": None}
    name = asked[0].name
    given = [
        annotators.Annotation(judgement.annotator, task, _comparable(judgement.answers[name]), judgement.seconds)
        for task, judgements in workspace.store.judgements(project.id).items()
        for judgement in judgements
        if name in judgement.answers
    ]
    guesses: dict[int, Hashable] = {}
    if arrays:
        classes = asked[0].classes
        pairs = zip(arrays["task"].tolist(), arrays["guess"].tolist(), strict=True)
        guesses = {task: classes[guess] for task, guess in pairs}
    return {
        "each": [asdict(each) for each in annotators.describe_annotators(given, guesses)],
        "together": asdict(annotators.agreement(given)),
    }


def _comparable(answer: Any) -> Hashable:
    """An answer whose order does not matter."""
    return frozenset(answer) if isinstance(answer, list | tuple) else answer


def _add_to_curve(workspace: Workspace, project: Project, pool: PoolArrays, reports: list[dict[str, Any]]) -> None:
    """Add a point to the learning curve: the first question's estimate."""
    if not reports:
        return
    first = reports[0]
    workspace.store.add_measurement(
        project.id,
        model_version=project.model_version,
        round=project.round,
        labels=int(pool.labelled.sum()),
        held_out=first["held_out"],
        images=first["estimate"]["n"],
        **{name: first["estimate"][name] for name in ("value", "low", "high")},
    )
