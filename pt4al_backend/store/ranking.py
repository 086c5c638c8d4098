"""The newest opinion on every image of a project, packed into one blob so that it changes in one transaction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save


@dataclass(frozen=True)
class RankingArrays:
    """(n,) arrays, sorted by task id. ``choice`` is an index into the classes, -1 where there is no opinion."""

    task: NDArray[np.int64]
    score: NDArray[np.float64]
    choice: NDArray[np.int32]
    probability: NDArray[np.float32]

    def to_bytes(self) -> bytes:
        """Packed as safetensors."""
        return save({name: np.ascontiguousarray(array) for name, array in vars(self).items()})

    @classmethod
    def from_bytes(cls, data: bytes) -> RankingArrays:
        """What ``to_bytes`` packed."""
        return cls(**load(data))

    def find(self, tasks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Positions of task ids, -1 where unknown."""
        if not len(self.task):
            return np.full(len(tasks), -1)
        positions = np.minimum(np.searchsorted(self.task, tasks), len(self.task) - 1)
        return np.where(self.task[positions] == tasks, positions, -1)
