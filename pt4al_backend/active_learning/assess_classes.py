"""Measure what the model says of whole images, and judge their labels: questions that are not about pixels."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.fit_probes import fit_probes, targets_of
from pt4al_backend.active_learning.hold_out import LEAST
from pt4al_backend.active_learning.training_data import ProbeInputs, answered, output, sample
from pt4al_backend.active_learning.workspace import Progress
from pt4al_backend.assessment import label_errors, quality
from pt4al_backend.labelling.questions import Question
from pt4al_backend.store.store import PoolArrays

FEWEST = 10
"""With fewer labels nothing is measured."""
MOST_LISTED = 500
"""Labels that look wrong are stored up to this number, the worst first."""
WHAT = "measuring the model"
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Assessed:
    """What was found out about one question."""

    report: dict[str, Any]
    """How good the model is."""
    suspects: list[dict[str, Any]]
    """Labels that look wrong, the worst first."""
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    """Of a single choice: `task`, `truth` and `guess` of each image that was measured."""


@dataclass(frozen=True)
class _Predicted:
    """Labels, and what a model that did not learn from them says."""

    at: NDArray[np.int64]
    """(l,) positions in the pool."""
    labels: NDArray[Any]
    """(l,) or (l, classes)"""
    probabilities: Floats
    """(l, classes)"""


def assess_classes(
    pool: PoolArrays, question: Question, inputs: ProbeInputs, unseen: ProbeInputs
) -> Generator[Progress, None, Assessed | None]:
    """Measure one question; None with too few labels.

    Args:
        pool: all images.
        question: asks for one class or any of several.
        inputs: embeddings by the encoder in use.
        unseen: embeddings by an encoder that has not seen the labels.
    """
    crossed = yield from _cross_validated(pool, question, unseen)
    held_out = _on_held_out(pool, question, inputs)
    measured = held_out or crossed
    if measured is None:
        return None
    single = measured.labels.ndim == 1
    measure = quality.single_quality if single else quality.multiple_quality
    found = measure(measured.labels, measured.probabilities)
    if found is None:
        return None
    estimate = found.accuracy if isinstance(found, quality.SingleQuality) else found.images_right
    report = {
        "question": question.name,
        "label_type": question.label_type.name,
        "classes": question.classes,
        "held_out": held_out is not None,
        "estimate": asdict(estimate),
        "confidence": _confidence(pool, question, inputs) if single and held_out is None else None,
        "quality": asdict(found),
    }
    guess = measured.probabilities.argmax(axis=1)
    arrays = {"task": pool.task[measured.at], "truth": measured.labels, "guess": guess} if single else {}
    return Assessed(report, _suspects(pool, question, crossed, unseen) if crossed else [], arrays)


def _cross_validated(
    pool: PoolArrays, question: Question, inputs: ProbeInputs
) -> Generator[Progress, None, _Predicted | None]:
    """The labels that are learned from; None with too few."""
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
            return _Predicted(at, labels, end.value)
        yield Progress(progress.done, WHAT)


def _on_held_out(pool: PoolArrays, question: Question, inputs: ProbeInputs) -> _Predicted | None:
    """The labels of the held-out images, and what the probe that serves says; None if too few are labelled."""
    at = np.flatnonzero(pool.labelled & pool.held_out & inputs.known(pool.row))
    if len(at) < LEAST:
        return None
    labels = np.asarray(targets_of(pool, question, inputs, at))
    at, labels = at[answered(labels)], labels[answered(labels)]
    heads = fit_probes(pool, [question], inputs)
    if len(at) < LEAST or question.name not in heads:
        return None
    logits = heads[question.name].logits(inputs.read(question.label_type, pool.row[at]))
    return _Predicted(at, labels, question.label_type.probabilities(logits))


def _confidence(pool: PoolArrays, question: Question, inputs: ProbeInputs) -> float | None:
    """How sure the probe that serves is, on average, of the images without a label; None if it does not know any.

    Its probabilities are calibrated, so this estimates how many of these it is right about (Garg et al., "Leveraging
    Unlabeled Data to Predict Out-of-Distribution Performance", ICLR 2022: average confidence).
    """
    at = np.flatnonzero(pool.open & inputs.known(pool.row))
    head = fit_probes(pool, [question], inputs).get(question.name)
    if head is None or not len(at):
        return None
    rows = pool.row[at[sample(len(at))]]
    probabilities = question.label_type.probabilities(head.logits(inputs.read(question.label_type, rows)))
    return float(probabilities.max(axis=1).mean())


def _suspects(
    pool: PoolArrays,
    question: Question,
    crossed: _Predicted,
    inputs: ProbeInputs,
) -> list[dict[str, Any]]:
    """The labels of one question that confident learning calls errors, worst first."""
    judge = label_errors.errors_of_one_class if crossed.labels.ndim == 1 else label_errors.errors_of_any_classes
    judged = judge(crossed.labels, crossed.probabilities, inputs.embeddings.read(pool.row[crossed.at]))
    found = []
    for place in np.flatnonzero(judged.errors)[:MOST_LISTED].tolist():
        position = int(crossed.at[judged.positions[place]])
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
