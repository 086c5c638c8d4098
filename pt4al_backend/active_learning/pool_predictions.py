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
    """What the model thinks of one question; arrays (n,), one entry per image of the pool."""

    question: Question
    head: learning.Head
    uncertainty: NDArray[np.float64]
    """NaN where the image is not known."""
    guesses: PredictionArrays


@dataclass(frozen=True)
class PoolPredictions:
    """What the model thinks of the pool: a view on each question that was answered at all."""

    questions: tuple[Question, ...]
    views: tuple[QuestionPredictions, ...]
    sources: ProbeInputs
    rows: Rows

    @property
    def uncertainty(self) -> NDArray[np.float64]:
        """(n,): of the only question, or the mean rank of several. NaN where there is no predictions."""
        if not self.views:
            return np.full(len(self.rows), np.nan)
        each = [view.uncertainty for view in self.views]
        return each[0] if len(each) == 1 else mean_rank(each)

    @property
    def guesses(self) -> tuple[PredictionArrays, ...]:
        """One entry per question of the project."""
        by_name = {view.question.name: view.guesses for view in self.views}
        nothing = PredictionArrays(np.full(len(self.rows), np.nan, np.float32), np.zeros(len(self.rows), np.int32))
        return tuple(by_name.get(question.name, nothing) for question in self.questions)

    def gradients(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """The loss's gradient by the logits of images whose features are known: (k, outputs of all questions).

        As if what the model predicts were the label.

        Every question weighs the same: what it is least sure of is about 1 long.
        """
        parts = [self._each(view, positions, view.question.label_type.errors) for view in self.views]
        return np.concatenate(parts, axis=1)

    def _each(
        self,
        view: QuestionPredictions,
        positions: NDArray[np.int64],
        figure: Callable[[NDArray[np.float32]], NDArray[np.float64]],
    ) -> NDArray[np.float64]:
        figures = np.empty((len(positions), len(view.head.bias)))
        done = 0
        for chunk, logits in logits_of(view, self, positions):
            figures[done : done + len(chunk)] = figure(logits)
            done += len(chunk)
        return figures


def logits_of(
    view: QuestionPredictions, predictions: PoolPredictions, positions: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    label_type, sources = view.question.label_type, predictions.sources
    size = sources.chunk(label_type)
    for start in range(0, len(positions), size):
        chunk = positions[start : start + size]
        yield chunk, view.head.logits(sources.read(label_type, predictions.rows[chunk]))


@dataclass(frozen=True)
class Preview:
    """Guesses that are masks, by question, for an image of this size (upright, in pixels)."""

    guesses: dict[str, Prediction]
    width: int
    height: int


Previews = Callable[[NDArray[np.int64]], Sequence[Preview]]
"""Positions in the pool -> what would be drawn on these images."""
