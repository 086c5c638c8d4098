"""The newest opinion on every image of a project, packed into one blob so that it changes in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from pt4al_backend.labelling.questions import Prediction, Question


@dataclass(frozen=True)
class PredictionArrays:
    """What the model thinks the answers to one question are: (n,), by image."""

    probability: NDArray[np.float32]
    """NaN where it has no opinion."""
    chosen: NDArray[np.integer]
    """(n, ...) as the label type keeps them, or (0,) where nothing is kept."""

    def at(self, position: int, question: Question) -> Prediction | None:
        """The guess for one image, None where there is none."""
        probability = float(self.probability[position])
        if np.isnan(probability) or not len(self.chosen):
            return None
        return Prediction(question.label_type.value(question, self.chosen[position]), probability)


@dataclass(frozen=True)
class RankingArrays:
    """(n,) arrays, sorted by task id; `guesses` are by question, in the project's order."""

    task: NDArray[np.int64]
    score: NDArray[np.float64]
    guesses: tuple[PredictionArrays, ...]

    def to_bytes(self) -> bytes:
        """Packed as safetensors."""
        arrays: dict[str, NDArray[np.generic]] = {"task": self.task, "score": self.score}
        for k, guess in enumerate(self.guesses):
            arrays |= {f"probability.{k}": guess.probability, f"chosen.{k}": guess.chosen}
        return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> RankingArrays:
        """What `to_bytes` packed."""
        arrays = load(data)
        questions = (len(arrays) - 2) // 2
        guesses = (PredictionArrays(arrays[f"probability.{k}"], arrays[f"chosen.{k}"]) for k in range(questions))
        return cls(arrays["task"], arrays["score"], tuple(guesses))

    def find(self, tasks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of task ids, -1 where unknown."""
        if not len(self.task):
            return np.full(len(tasks), -1)
        positions = np.minimum(np.searchsorted(self.task, tasks), len(self.task) - 1)
        return np.where(self.task[positions] == tasks, positions, -1)

    def predictions_at(self, position: int, questions: Sequence[Question]) -> dict[str, Prediction]:
        """The guesses for one image, by name of the question."""
        found = {
            question.name: guess.at(position, question) for question, guess in zip(questions, self.guesses, strict=True)
        }
        return {name: guess for name, guess in found.items() if guess is not None}
