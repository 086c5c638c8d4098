"""Helpers that call `pt4al_backend.learning` without a project."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import numpy as np

from pt4al_backend import learning
from pt4al_backend.settings import Settings

T = TypeVar("T")


class Pixels:
    """(n, S, S, 3) images in memory."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.size = pixels.shape[1]

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self._pixels[rows]


class NoCheckpoint:
    """The checkpoint of a training that need not be resumed."""

    def load(self) -> None:
        return None

    def save(self, arrays: learning.Arrays, meta: dict[str, Any]) -> None:
        pass


def finish(work: Generator[Any, None, T]) -> T:
    """Run a computation that yields its progress, and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def settings_of(**values: Any) -> Settings:
    """Settings with these values and the defaults; nothing is read from the environment."""
    return Settings(**values)
