"""Fit a linear probe for each question on all labels, and predict the pool with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.pool_predictions import PoolPredictions, QuestionPredictions, logits_of
from pt4al_backend.active_learning.training_data import ProbeInputs, answered, output
from pt4al_backend.labelling.label_type import Drawings, LabelType, Measure, Targets
from pt4al_backend.labelling.questions import Question
from pt4al_backend.sampling.uncertainty import UNCERTAINTIES
from pt4al_backend.store.pool_scores import PredictionArrays
from pt4al_backend.store.store import PoolArrays

MOST_MASKS = 1000
"""Most segmentations that a probe is fitted on. Of their cells it uses a random part in any case."""


def fit_and_predict(
    pool: PoolArrays, questions: Sequence[Question], inputs: ProbeInputs, *, uncertainty: Callable[[LabelType], str]
) -> PoolPredictions:
    """Fit a probe for each question on all labelled images with embeddings, and predict all images that have them.

    Args:
        pool: all images.
        questions: what the project asks.
        inputs: embeddings and answers.
        uncertainty: label type -> name of the uncertainty measure.
    """
    known = np.flatnonzero(inputs.known(pool.row))
    predictions = PoolPredictions(tuple(questions), (), inputs, pool.row)
    heads = fit_probes(pool, questions, inputs)
    per_question = [
        _predict(
            pool, question, heads[question.name], known, predictions, UNCERTAINTIES[uncertainty(question.label_type)]
        )
        for question in questions
        if question.name in heads
    ]
    return replace(predictions, per_question=tuple(per_question))


def fit_probes(pool: PoolArrays, questions: Sequence[Question], inputs: ProbeInputs) -> dict[str, learning.Head]:
    """Fit a probe for each question that anybody has answered, or take the head that was trained with the network.

    Returns:
        Name of the question -> head. Questions without usable answers are absent.
    """
    labelled = np.flatnonzero(inputs.known(pool.row) & pool.labelled)
    of_pool = inputs.of_pool(pool.row) if len(labelled) else None
    heads: dict[str, learning.Head] = {}
    for question in questions:
        labels = _targets(pool, question, inputs, labelled)
        answered_at = np.flatnonzero(answered(labels))
        if len(answered_at) and question.name in inputs.trained_heads:
            heads[question.name] = inputs.trained_heads[question.name]
        elif len(answered_at):
            if question.label_type.dense:
                answered_at = np.sort(np.random.default_rng(0).permutation(answered_at)[:MOST_MASKS])
            features = inputs.read(question.label_type, pool.row[labelled[answered_at]])
            shape = output(question, background=inputs.background)
            head = _fit(features, labels, answered_at, shape, inputs.balance, of_pool)
            heads |= {} if head is None else {question.name: head}
    return heads


def out_of_fold_errors(
    pool: PoolArrays, questions: Sequence[Question], inputs: ProbeInputs
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How often probes are wrong about labelled images that they were not fitted on. Segmentations are left out.

    Returns:
        Positions (l,) of the labelled images in the pool, and the share (l,) of their answers that is wrong.
    """
    labelled = np.flatnonzero(pool.labelled & inputs.known(pool.row))
    wrong, asked = np.zeros(len(labelled)), np.zeros(len(labelled))
    for question in questions:
        labels = _targets(pool, question, inputs, labelled)
        answered_at = np.flatnonzero(answered(labels))
        if question.label_type.dense or not len(answered_at):
            continue  # a mask is never quite right
        assert isinstance(labels, np.ndarray)
        features = inputs.read(question.label_type, pool.row[labelled[answered_at]])
        guessed = learning.out_of_fold(features, labels[answered_at], output(question, background=inputs.background))
        differs = guessed != labels[answered_at]
        wrong[answered_at] += differs if differs.ndim == 1 else differs.mean(axis=1)
        asked[answered_at] += 1
    return labelled, wrong / np.maximum(asked, 1)


def _targets(pool: PoolArrays, question: Question, inputs: ProbeInputs, positions: NDArray[np.int64]) -> Targets:
    answers = [inputs.answers.get(task, {}) for task in pool.task[positions].tolist()]
    drawings = Drawings(pool.row[positions], inputs.masks, inputs.background)
    return question.label_type.targets(question, answers, drawings)


def _fit(
    features: NDArray[np.float16],
    labels: Targets,
    answered_at: NDArray[np.int64],
    shape: learning.Output,
    balance: float,
    of_pool: NDArray[np.float16] | None,
) -> learning.Head | None:
    if isinstance(labels, np.ndarray):
        return learning.fit_head(features, labels[answered_at], shape, pool=of_pool)
    shares = learning.mask_shares(labels.read(answered_at), shape.classes, features.shape[1])
    if not shares.any():
        return None  # only pixels that are ignored
    return learning.fit_pixel_head(features, shares, balance=balance)


def _predict(
    pool: PoolArrays,
    question: Question,
    head: learning.Head,
    known: NDArray[np.int64],
    predictions: PoolPredictions,
    measure: Measure,
) -> QuestionPredictions:
    n, label_type = len(pool), question.label_type
    uncertainty, probability = np.full(n, np.nan), np.full(n, np.nan, np.float32)
    chosen = label_type.unpredicted(n, len(question.classes))
    predicted = QuestionPredictions(question, head, uncertainty, PredictionArrays(probability, chosen))
    for chunk, logits in logits_of(predicted, predictions, known):
        uncertainty[chunk] = label_type.uncertainty(logits, measure)
        answer = label_type.predicted(logits)
        if answer is not None:
            probability[chunk], chosen[chunk] = answer
    return predicted
