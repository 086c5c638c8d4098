"""What goes in and out of the learning room: numpy arrays, small frozen values and three protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

SINGLE, MULTIPLE, SEGMENTATION = "single", "multiple", "segmentation"
IGNORE = 255
"""In a mask: a pixel that nobody answered."""


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
class Output:
    """One thing a network says about every image."""

    kind: str
    """`single`: one class; `multiple`: any number of classes; `segmentation`: a class for every pixel."""
    classes: int
    """Of a segmentation with the background, which is a class like the others."""


class Masks(Protocol):
    """The answers to a segmentation."""

    def read(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Class indices (k, m, m), IGNORE where unanswered, of the images at `positions` (k,); m is `mask_side`."""


Targets = Array | Masks
"""The answers to one output, for n images.

`single`: int64 (n,), -1 = unanswered. `multiple`: int8 (n, classes) of 0 and 1, a row of -1 = unanswered.
`segmentation`: `Masks`.
"""


@dataclass(frozen=True)
class Weights:
    """A trained network: its tensors by name, and what rebuilds the module around them."""

    arrays: Arrays
    spec: dict[str, Any]
    """JSON values: network, width, kernel, image_size, dense, outputs (a list of kind and classes)."""


class Checkpoint(Protocol):
    """Where a training under way is kept; a save replaces the one before, all or nothing."""

    def load(self) -> tuple[Arrays, dict[str, Any]] | None: ...

    def save(self, arrays: Arrays, meta: dict[str, Any]) -> None: ...
