"""The types in the interface of `learning`: numpy arrays, small frozen values and three protocols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Arrays = dict[str, Array]

SINGLE, MULTIPLE, SEGMENTATION = "single", "multiple", "segmentation"
IGNORE = 255
"""In a mask: an unlabelled pixel."""


@dataclass(frozen=True)
class Progress:
    """The progress of a long computation; yielded often, so that other work fits in between."""

    done: float
    """Fraction of the work that is finished, 0..1."""
    epoch: int
    """The current epoch, counted from 1."""
    epochs: int
    images_per_second: float
    """Since this computation was started or resumed, in wall-clock time."""
    eta_seconds: float


class Images(Protocol):
    """The decoded pixels of a pool: square images of the same size."""

    @property
    def size(self) -> int:
        """Side of every image in pixels, S."""

    def read(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """RGB pixels (n, S, S, 3) of the images in `rows` (n,)."""


@dataclass(frozen=True)
class Output:
    """One thing that a network predicts for every image."""

    kind: str
    """`single`: one class; `multiple`: any number of classes; `segmentation`: a class for every pixel."""
    classes: int
    """Number of classes; in a segmentation the background, if there is one, counts like the others."""


class Masks(Protocol):
    """The targets of a segmentation."""

    def read(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Class indices (k, m, m) of the images at `positions` (k,), IGNORE if unlabelled; m is `mask_side`."""


Targets = Array | Masks
"""The labels for one output of n images.

`single`: int64 (n,), -1 = unlabelled. `multiple`: int8 (n, classes) of 0 and 1, a row of -1 = unlabelled.
`segmentation`: `Masks`.
"""


@dataclass(frozen=True)
class Weights:
    """A trained network: its tensors by name, and the specification of its module."""

    arrays: Arrays
    spec: dict[str, Any]
    """JSON values: network, width, kernel, image_size, dense, outputs (a list of kind and classes)."""


class Checkpoint(Protocol):
    """The saved state of an unfinished training; a save replaces the previous one atomically."""

    def load(self) -> tuple[Arrays, dict[str, Any]] | None: ...

    def save(self, arrays: Arrays, meta: dict[str, Any]) -> None: ...
