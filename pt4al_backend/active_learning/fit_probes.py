"""Fit a linear probe for each question on all labels, and predict the pool with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.pool_predictions import PoolPredictions, QuestionPredictions, logits_of
from pt4al_backend.active_learning.training_data import ProbeInputs, answered, output
from pt4al_backend.labelling.label_type import Drawings, LabelType, Masks, Measure, Targets
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
    labelled = np.flatnonzero(inputs.known(pool.row) & pool.training)
    of_pool = inputs.of_pool(pool.row) if len(labelled) else None
    heads: dict[str, learning.Head] = {}
    for question in questions:
        labels = targets_of(pool, question, inputs, labelled)
        answered_at = np.flatnonzero(answered(labels))
        if len(answered_at) and question.name in inputs.trained_heads:
            heads[question.name] = inputs.trained_heads[question.name]
        elif len(answered_at):
            shape = output(question, background=inputs.background)
            rows = pool.row[labelled]
            if isinstance(labels, np.ndarray):
                features = inputs.read(question.label_type, rows[answered_at])
                head = learning.fit_head(features, labels[answered_at], shape, pool=of_pool)
                heads[question.name] = head.cooled(inputs.temperatures.get(question.name, 1.0))
            elif (of_cells := _fit_to_masks(labels, answered_at, rows, question, inputs)) is not None:
                heads[question.name] = of_cells
    return heads


def out_of_fold_errors(
    pool: PoolArrays, questions: Sequence[Question], inputs: ProbeInputs
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """How often probes are wrong about labelled images that they were not fitted on. Segmentations are left out.

    Returns:
        Positions (l,) of the labelled images in the pool, and the share (l,) of their answers that is wrong.
    """
    labelled = np.flatnonzero(pool.training & inputs.known(pool.row))
    wrong, asked = np.zeros(len(labelled)), np.zeros(len(labelled))
    for question in questions:
        labels = targets_of(pool, question, inputs, labelled)
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


def targets_of(pool: PoolArrays, question: Question, inputs: ProbeInputs, positions: NDArray[np.int64]) -> Targets:
    """The labels of the images at these positions of the pool."""
    answers = [inputs.answers.get(task, {}) for task in pool.task[positions].tolist()]
    drawings = Drawings(pool.row[positions], inputs.masks, inputs.background)
    return question.label_type.targets(question, answers, drawings)


def _fit_to_masks(
    masks: Masks, drawn: NDArray[np.int64], rows: NDArray[np.int64], question: Question, inputs: ProbeInputs
) -> learning.Head | None:
    """A probe fitted on some cells of each image; None if the masks at these positions have only ignored pixels.

    Args:
        masks: of n images.
        drawn: (m,) positions of those that have one.
        rows: (n,) of the images.
        question: what is asked about them.
        inputs: their patch embeddings.
    """
    layout, classes = inputs.layout, output(question, background=inputs.background).classes
    assert layout is not None
    drawn = np.sort(np.random.default_rng(0).permutation(drawn)[:MOST_MASKS])
    how = learning.PRETRAINED_PATCHES if inputs.pretrained else learning.OWN_PATCHES
    of_each = -(-how.most_cells(layout.channels, classes) // len(drawn))
    parts = []
    for chunk in np.split(drawn, range(size := inputs.chunk(question.label_type), len(drawn), size)):
        shares = learning.mask_shares(masks.read(chunk), classes, layout.side)
        parts.append(layout.sampled(inputs.read(question.label_type, rows[chunk]), shares, of_each))
    cells, shares = (np.concatenate(each) for each in zip(*parts, strict=True))
    return learning.fit_pixel_head(cells, shares, balance=inputs.balance, how=how) if shares.any() else None


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
