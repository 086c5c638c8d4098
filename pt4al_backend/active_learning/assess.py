"""Measure how good the model is, and find labels that look wrong, when the labels have grown and nobody waits.

The estimate comes from held-out images once enough of them are labelled (`hold_out`). Until then the model is
cross-validated on its labels: five probes, each fitted on four fifths of them. Those images were chosen because they
are hard or different, so the estimate may be off; pages say so.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import asdict
from typing import Any

from numpy.typing import NDArray

from pt4al_backend.active_learning.assess_classes import FEWEST, MOST_LISTED, assess_classes
from pt4al_backend.active_learning.assess_masks import assess_masks
from pt4al_backend.active_learning.forecast_labels import forecast_labels
from pt4al_backend.active_learning.workspace import Job, Workspace, questions
from pt4al_backend.assessment import annotators
from pt4al_backend.labelling.questions import Question
from pt4al_backend.store.findings import QUALITY, SUSPECTS
from pt4al_backend.store.store import PoolArrays
from pt4al_backend.store.tables import Project

GROWTH, STEP = 0.05, 5
"""It is measured again when there are more or fewer labels by this part, and by so many at least."""


def assessment_due(workspace: Workspace, project: Project, labelled: int) -> bool:
    """Whether the labels have changed enough since the model was last measured, or another encoder is in use."""
    if not workspace.assesses or labelled < FEWEST:
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
    inputs = workspace.probe_inputs(project)
    # A fine-tuned encoder has seen the labels that a cross-validation would leave out.
    unseen = workspace.probe_inputs(project, project.encoder or None)
    asked, found = questions(project), []
    for question in asked:
        measure = assess_masks if question.label_type.dense else assess_classes
        assessed = yield from measure(pool, question, inputs, unseen)
        found += [assessed] if assessed is not None else []
    reports = [each.report for each in found]
    arrays = next((each.arrays for each in found if each.arrays), {})
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
    suspects = sorted((one for each in found for one in each.suspects), key=lambda one: float(one["quality"]))
    people = _annotators(workspace, project, [each for each in asked if not each.label_type.dense], arrays)
    body = {"labels": suspects[:MOST_LISTED], "checked": int(pool.training.sum()), "annotators": people}
    workspace.store.save_finding(project.id, SUSPECTS, body, revision=revision)


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
        confidence=first.get("confidence"),
        **{name: first["estimate"][name] for name in ("value", "low", "high")},
    )
