"""Targets are checked, and read a batch at a time."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.targets import TargetReader, check_all, check_targets
from pt4al_backend.learning.types import IGNORE, Array, Output

ONE, ANY, PIXELS = Output("single", 3), Output("multiple", 2), Output("segmentation", 2)


class Masks:
    """Masks that each have a single value."""

    def __init__(self, *values: int, side: int = 4) -> None:
        self._masks = np.stack([np.full((side, side), value, dtype=np.uint8) for value in values])

    def read(self, positions: Array) -> Array:
        return self._masks[positions]


@pytest.mark.parametrize(
    ("targets", "output", "message"),
    [
        (np.array([0, 3]), ONE, "class indices from 0 to 2"),
        (np.array([0, -2]), ONE, "class indices from 0 to 2"),
        (np.array([[0], [1]]), ONE, "class indices from 0 to 2"),
        (np.array([[0, 2], [1, 1]]), ANY, "rows of 2 zeros and ones"),
        (np.array([[0, -1], [1, 1]]), ANY, "rows of 2 zeros and ones"),
        (np.array([[0, 1, 1], [1, 1, 0]]), ANY, "rows of 2 zeros and ones"),
        (np.array([0]), ONE, "2 images came with 1 labels"),
    ],
)
def test_invalid_labels_are_refused(targets: Array, output: Output, message: str) -> None:
    with pytest.raises(LearningError, match=message):
        check_targets(targets, output, images=2)


def test_some_labels_may_be_missing_but_not_all() -> None:
    nothing, partial = np.array([-1, -1]), np.array([[-1, -1], [0, 1]])
    check_all([nothing, partial], [ONE, ANY], images=2)
    check_all([nothing, Masks(0, 1)], [ONE, PIXELS], images=2)
    with pytest.raises(LearningError, match="label at least one image"):
        check_all([nothing], [ONE], images=2)
    with pytest.raises(LearningError, match="2 outputs came with labels for 1"):
        check_all([nothing], [ONE, ANY], images=2)


def test_each_type_has_the_data_type_its_loss_expects() -> None:
    positions = np.array([1, 0])
    assert TargetReader(np.array([2, -1]), ONE, side=4)(positions).tolist() == [-1, 2]
    chosen = TargetReader(np.array([[0, 1], [-1, -1]], dtype=np.int8), ANY, side=4)(positions)
    assert chosen.dtype == torch.float32 and chosen.tolist() == [[-1, -1], [0, 1]]
    masks = TargetReader(Masks(0, IGNORE), PIXELS, side=4)
    assert masks(positions).dtype == torch.uint8 and masks.crop(masks(positions), None).dtype == torch.int64


@pytest.mark.parametrize(
    ("masks", "message"), [(Masks(0, 2), "class indices from 0 to 1"), (Masks(0, 1, side=3), "4 x 4")]
)
def test_masks_are_checked_as_they_are_read(masks: Masks, message: str) -> None:
    with pytest.raises(LearningError, match=message):
        TargetReader(masks, PIXELS, side=4)(np.array([0, 1]))
