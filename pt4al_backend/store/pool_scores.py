"""The newest scores and predictions of a whole pool, packed into one blob so that one transaction replaces them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from pt4al_backend.labelling.questions import Prediction, Question


@dataclass(frozen=True)
class PredictionArrays:
    """The predictions for one question; n is the number of images."""

    probability: NDArray[np.float32]
    """(n,) probability of the predicted value; NaN without a prediction."""
    chosen: NDArray[np.integer]
    """(n, ...) predicted values as the label type stores them, or (0,) if they are not stored."""

    def without(self, unseen: NDArray[np.bool_]) -> PredictionArrays:
        """Without predictions for the images in `unseen` (n,)."""
        return PredictionArrays(np.where(unseen, np.float32(np.nan), self.probability), self.chosen)

    def at(self, position: int, question: Question) -> Prediction | None:
        """The prediction for the image at `position`; None if there is none."""
        probability = float(self.probability[position])
        if np.isnan(probability) or not len(self.chosen):
            return None
        return Prediction(question.label_type.value(question, self.chosen[position]), probability)


@dataclass(frozen=True)
class RankingArrays:
    """The ranking of a pool of n images, sorted by task id."""

    task: NDArray[np.int64]
    """(n,) task ids."""
    score: NDArray[np.float64]
    """(n,) queue scores."""
    predictions: tuple[PredictionArrays, ...]
    """The predictions, one entry per question, in the project's order."""

    def to_bytes(self) -> bytes:
        """Packed as safetensors."""
        arrays: dict[str, NDArray[np.generic]] = {"task": self.task, "score": self.score}
        for k, predictions in enumerate(self.predictions):
            arrays |= {f"probability.{k}": predictions.probability, f"chosen.{k}": predictions.chosen}
        return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> RankingArrays:
        """Unpack the result of `to_bytes`."""
        arrays = load(data)
        questions = (len(arrays) - 2) // 2
        predictions = (PredictionArrays(arrays[f"probability.{k}"], arrays[f"chosen.{k}"]) for k in range(questions))
        return cls(arrays["task"], arrays["score"], tuple(predictions))

    def find(self, tasks: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions of task ids; -1 for those not in the ranking."""
        if not len(self.task):
            return np.full(len(tasks), -1)
        positions = np.minimum(np.searchsorted(self.task, tasks), len(self.task) - 1)
        return np.where(self.task[positions] == tasks, positions, -1)

    def predictions_at(self, position: int, questions: Sequence[Question]) -> dict[str, Prediction]:
        """The predictions for one image, by name of the question."""
        predictions = {
            question.name: arrays.at(position, question)
            for question, arrays in zip(questions, self.predictions, strict=True)
        }
        return {name: prediction for name, prediction in predictions.items() if prediction is not None}
