"""What goes in and out of the learning room: numpy arrays, small frozen values and two protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = dict[str, Array]


class LearningError(ValueError):
    """Something cannot be learned as asked; the text is one sentence for people."""


@dataclass(frozen=True)
class Progress:
    """How far a long computation is; yielded often, so that other work fits in between."""

    done: float
    """Fraction of the work that is finished, 0..1."""
    epoch: int
    """The epoch under way, counted from 1."""
    epochs: int
    images_per_second: float
    """Since this computation was started or resumed, in wall-clock time."""
    eta_seconds: float


class Images(Protocol):
    """The pixels of a pool, decoded, square and all of one size."""

    @property
    def size(self) -> int:
        """Side of every image in pixels, S."""

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """RGB pixels (n, S, S, 3) of the images in `rows` (n,)."""


@dataclass(frozen=True)
class Weights:
    """A trained network: its tensors by name, and what rebuilds the module around them."""

    arrays: Arrays
    spec: dict[str, Any]
    """JSON values: network, width, kernel, image_size, outputs."""


class Checkpoint(Protocol):
    """Where a training under way is kept; a save replaces the one before, all or nothing."""

    def load(self) -> tuple[Arrays, dict[str, Any]] | None: ...

    def save(self, arrays: Arrays, meta: dict[str, Any]) -> None: ...


def check_targets(targets: Array, classes: int, *, images: int) -> None:
    """Refuse targets (n,) that are not one class index in [0, classes) per image.

    Raises:
        LearningError: with what is wrong.
    """
    if images == 0:
        raise LearningError("There is nothing to learn from yet: label at least one image.")
    if len(targets) != images:
        raise LearningError(f"{images} images came with {len(targets)} labels; there must be one for each.")
    if targets.min() < 0 or targets.max() >= classes:
        raise LearningError(f"Labels must be class indices from 0 to {classes - 1}.")
