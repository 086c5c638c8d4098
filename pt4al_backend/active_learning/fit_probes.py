"""The refit: a head per question, fitted on every answer there is, and what the heads think of the pool."""

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
"""Segmentations that a head is fitted on at most; of their cells a random part is used in any case."""


def refit(
    pool: PoolArrays, questions: Sequence[Question], sources: ProbeInputs, *, uncertainty: Callable[[LabelType], str]
) -> PoolPredictions:
    """Fit a head for each question on all answers whose features are known, and ask it about all such images.

    `uncertainty` names the measure for a label type.
    """
    known = np.flatnonzero(sources.known(pool.row))
    predictions = PoolPredictions(tuple(questions), (), sources, pool.row)
    heads = fit_heads(pool, questions, sources)
    views = [
        _view(pool, question, heads[question.name], known, predictions, UNCERTAINTIES[uncertainty(question.label_type)])
        for question in questions
        if question.name in heads
    ]
    return replace(predictions, views=tuple(views))


def fit_heads(pool: PoolArrays, questions: Sequence[Question], sources: ProbeInputs) -> dict[str, learning.Head]:
    """A head by name of each question that was answered: the network's own, or fitted on all answers with features."""
    labelled = np.flatnonzero(sources.known(pool.row) & pool.labelled)
    heads: dict[str, learning.Head] = {}
    for question in questions:
        mine = _answers(pool, question, sources, labelled)
        there = np.flatnonzero(answered(mine))
        if len(there) and question.name in sources.own:
            heads[question.name] = sources.own[question.name]
        elif len(there):
            if question.label_type.dense:
                there = np.sort(np.random.default_rng(0).permutation(there)[:MOST_MASKS])
            features = sources.read(question.label_type, pool.row[labelled[there]])
            head = _fit(features, mine, there, output(question, background=sources.background), sources.balance)
            heads |= {} if head is None else {question.name: head}
    return heads


def out_of_fold_errors(
    pool: PoolArrays, questions: Sequence[Question], sources: ProbeInputs
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Positions (l,) of labelled images, and the share of their answers that heads which did not see them get wrong."""
    labelled = np.flatnonzero(pool.labelled & sources.known(pool.row))
    wrong, asked = np.zeros(len(labelled)), np.zeros(len(labelled))
    for question in questions:
        mine = _answers(pool, question, sources, labelled)
        there = np.flatnonzero(answered(mine))
        if question.label_type.dense or not len(there):
            continue  # a mask is never quite right
        assert isinstance(mine, np.ndarray)
        features = sources.read(question.label_type, pool.row[labelled[there]])
        guessed = learning.out_of_fold(features, mine[there], output(question, background=sources.background))
        differs = guessed != mine[there]
        wrong[there] += differs if differs.ndim == 1 else differs.mean(axis=1)
        asked[there] += 1
    return labelled, wrong / np.maximum(asked, 1)


def _answers(pool: PoolArrays, question: Question, sources: ProbeInputs, positions: NDArray[np.int64]) -> Targets:
    given = [sources.answers.get(task, {}) for task in pool.task[positions].tolist()]
    drawings = Drawings(pool.row[positions], sources.masks, sources.background)
    return question.label_type.targets(question, given, drawings)


def _fit(
    features: NDArray[np.float16],
    mine: Targets,
    there: NDArray[np.int64],
    wanted: learning.Output,
    balance: float,
) -> learning.Head | None:
    if isinstance(mine, np.ndarray):
        return learning.fit_head(features, mine[there], wanted)
    shares = learning.mask_shares(mine.read(there), wanted.classes, features.shape[1])
    if not shares.any():
        return None  # only pixels that are ignored
    return learning.fit_pixel_head(features, shares, balance=balance)


def _view(
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
    view = QuestionPredictions(question, head, uncertainty, PredictionArrays(probability, chosen))
    for chunk, logits in logits_of(view, predictions, known):
        uncertainty[chunk] = label_type.uncertainty(logits, measure)
        predicted = label_type.predicted(logits)
        if predicted is not None:
            probability[chunk], chosen[chunk] = predicted
    return view
