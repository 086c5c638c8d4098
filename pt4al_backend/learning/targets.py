"""Targets: check them, and read them a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.inputs import Crop, cut
from pt4al_backend.learning.output_types import type_of
from pt4al_backend.learning.types import IGNORE, Array, Masks, Output, Targets

_NOTHING = "There is nothing to learn from yet: label at least one image."


def check_targets(targets: Array, output: Output, *, images: int) -> None:
    """Check the targets of an output that is not dense against `Targets`; -1 is allowed.

    Raises:
        LearningError: they are invalid; the message says what is wrong.
    """
    if images == 0:
        raise LearningError(_NOTHING)
    if len(targets) != images:
        raise LearningError(f"{images} images came with {len(targets)} labels; each image needs one.")
    if flaw := type_of(output).flaw(targets, output.classes):
        raise LearningError(flaw)


def check_all(targets: Sequence[Targets], outputs: Sequence[Output], *, images: int) -> None:
    """Check that a network with `outputs` can learn from the targets.

    Raises:
        LearningError: it cannot; the message says what is wrong.
    """
    if len(targets) != len(outputs):
        raise LearningError(f"{len(outputs)} outputs came with labels for {len(targets)}: each output needs labels.")
    pairs = zip(targets, outputs, strict=True)
    arrays = [(target, output) for target, output in pairs if isinstance(target, np.ndarray)]
    for target, output in arrays:
        check_targets(target, output, images=images)
    if images == 0 or (len(arrays) == len(outputs) and all((target < 0).all() for target, _ in arrays)):
        raise LearningError(_NOTHING)


class TargetReader:
    """Reads the targets of one output by position."""

    def __init__(self, targets: Targets, output: Output, *, side: int) -> None:
        """`side` is the side of a segmentation's masks."""
        self._output, self._type, self._side = output, type_of(output), side
        self._targets: Tensor | Masks
        if isinstance(targets, np.ndarray):
            self._targets = torch.from_numpy(targets.astype(self._type.dtype))
        else:
            self._targets = targets

    def __call__(self, positions: npt.NDArray[np.int64]) -> Tensor:
        """Targets on the CPU: int64 (k,), float32 (k, classes) or uint8 (k, side, side)."""
        if isinstance(self._targets, Tensor):
            return self._targets[positions]
        masks = np.array(self._targets.read(positions), dtype=np.uint8)
        if masks.shape != (len(positions), self._side, self._side):
            raise LearningError(f"Masks have the shape {masks.shape}; they must be {self._side} x {self._side}.")
        if masks.max(where=masks != IGNORE, initial=0) >= self._output.classes:
            last = self._output.classes - 1
            raise LearningError(f"Masks must hold class indices from 0 to {last}, or {IGNORE} for none.")
        return torch.from_numpy(masks)

    def crop(self, targets: Tensor, crop: Crop | None) -> Tensor:
        """Targets, cropped like the images: int64 (k,), float32 (k, classes) or int64 (k, side, side)."""
        if not self._type.dense:
            return targets
        return (targets if crop is None else cut(targets, crop, outside=IGNORE)).long()
