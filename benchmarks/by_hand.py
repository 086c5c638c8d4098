"""What it takes to call `pt4al_backend.learning` without a project around it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import numpy as np

from pt4al_backend import learning
from pt4al_backend.settings import Settings

T = TypeVar("T")


class Pixels:
    """Images (n, S, S, 3) in memory."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.size = pixels.shape[1]

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self._pixels[rows]


class NoCheckpoint:
    """A training that need not go on after a kill."""

    def load(self) -> None:
        return None

    def save(self, arrays: learning.Arrays, meta: dict[str, Any]) -> None:
        pass


def finish(work: Generator[Any, None, T]) -> T:
    """The result of a computation that tells its progress."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def settings_of(**values: Any) -> Settings:
    """Settings of these values, and the defaults; nothing is read from the environment."""
    return Settings(**values)
