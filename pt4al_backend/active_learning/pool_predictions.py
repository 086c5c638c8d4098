"""What the model predicts for the pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.training_data import ProbeInputs, Rows
from pt4al_backend.labelling.questions import Prediction, Question
from pt4al_backend.sampling.uncertainty import mean_rank
from pt4al_backend.store.pool_scores import PredictionArrays


@dataclass(frozen=True)
class QuestionPredictions:
    """What the model predicts for one question: arrays (n,), one entry per image of the pool."""

    question: Question
    head: learning.Head
    uncertainty: NDArray[np.float64]
    """NaN for images without embeddings."""
    arrays: PredictionArrays


@dataclass(frozen=True)
class PoolPredictions:
    """What the model predicts for the pool, for each question that was answered at all."""

    questions: tuple[Question, ...]
    per_question: tuple[QuestionPredictions, ...]
    inputs: ProbeInputs
    rows: Rows

    @property
    def uncertainty(self) -> NDArray[np.float64]:
        """(n,) of the only question, or the mean rank of several. NaN where nothing is predicted."""
        if not self.per_question:
            return np.full(len(self.rows), np.nan)
        each = [predicted.uncertainty for predicted in self.per_question]
        return each[0] if len(each) == 1 else mean_rank(each)

    @property
    def arrays(self) -> tuple[PredictionArrays, ...]:
        """One entry per question of the project."""
        by_name = {predicted.question.name: predicted.arrays for predicted in self.per_question}
        nothing = PredictionArrays(np.full(len(self.rows), np.nan, np.float32), np.zeros(len(self.rows), np.int32))
        return tuple(by_name.get(question.name, nothing) for question in self.questions)

    def gradients(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Gradients of the loss by the logits, as if the predicted answer were the label.

        All questions weigh the same: where the model is least sure of one, its part is about 1 long.

        Args:
            positions: (k,) images with embeddings.

        Returns:
            (k, outputs of all questions)
        """
        parts = [
            self._each(predicted, positions, predicted.question.label_type.errors) for predicted in self.per_question
        ]
        return np.concatenate(parts, axis=1)

    def _each(
        self,
        predicted: QuestionPredictions,
        positions: NDArray[np.int64],
        figure: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        figures = np.empty((len(positions), len(predicted.head.bias)))
        done = 0
        for chunk, logits in logits_of(predicted, self, positions):
            figures[done : done + len(chunk)] = figure(logits)
            done += len(chunk)
        return figures


def logits_of(
    predicted: QuestionPredictions, predictions: PoolPredictions, positions: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Chunks of `positions` with their logits, as many at a time as fit in memory."""
    label_type, inputs = predicted.question.label_type, predictions.inputs
    size = inputs.chunk(label_type)
    for start in range(0, len(positions), size):
        chunk = positions[start : start + size]
        yield chunk, inputs.logits(label_type, predicted.head, predictions.rows[chunk])


@dataclass(frozen=True)
class Preview:
    """Predicted masks, by question, for an image of this size (upright, in pixels)."""

    predictions: dict[str, Prediction]
    width: int
    height: int


Previews = Callable[[NDArray[np.int64]], Sequence[Preview]]
"""Positions in the pool -> the masks to show on these images."""
