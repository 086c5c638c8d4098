"""Segmentation masks on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pt4al_backend.store.mask_file import MaskFile

FIRST, SECOND = "01" * 16, "ff" * 16


def mask(value: int, side: int = 3) -> NDArray[np.uint8]:
    """All different, the first `value`."""
    return np.arange(value, value + side**2, dtype=np.uint8).reshape(side, side)


@pytest.fixture
def masks(tmp_path: Path) -> MaskFile:
    return MaskFile(tmp_path / "pixels" / "masks.bin", side=3)


def there(masks: MaskFile, *wanted: tuple[int, str]) -> list[bool]:
    return masks.has(np.array([row for row, _ in wanted], dtype=np.int64), [digest for _, digest in wanted]).tolist()


def test_what_is_written_is_read(masks: MaskFile) -> None:
    masks.write(4, FIRST, mask(10))
    masks.write(1, SECOND, mask(20))
    assert masks.read(np.array([1, 4, 1])).tolist() == [mask(20).tolist(), mask(10).tolist(), mask(20).tolist()]
    assert masks.read(np.array([], dtype=np.int64)).shape == (0, 3, 3)


def test_a_mask_exists_only_for_the_regions_it_was_drawn_from(masks: MaskFile) -> None:
    assert there(masks) == []
    assert there(masks, (0, FIRST)) == [False]  # not even a file
    masks.write(1, FIRST, mask(10))
    assert there(masks, (0, FIRST), (1, FIRST), (1, SECOND), (2, FIRST)) == [False, True, False, False]
    assert there(masks, (700, SECOND), (1, FIRST)) == [False, True]
    masks.write(1, SECOND, mask(20))
    assert there(masks, (1, FIRST), (1, SECOND)) == [False, True]
    assert masks.read(np.array([1]))[0].tolist() == mask(20).tolist()


def test_another_process_sees_it(masks: MaskFile, tmp_path: Path) -> None:
    other = MaskFile(tmp_path / "pixels" / "masks.bin", side=3)
    assert there(other, (2, FIRST)) == [False]
    masks.write(2, FIRST, mask(10))
    assert there(other, (2, FIRST)) == [True]


def test_arrays_that_are_no_masks_are_not_written(masks: MaskFile) -> None:
    masks.write(6, FIRST, mask(20))
    with pytest.raises(ValueError, match="are expected"):
        masks.write(5, FIRST, mask(10, side=4))
    with pytest.raises(ValueError, match="non-hexadecimal"):
        masks.write(5, "no digest", mask(10))
    assert there(masks, (5, FIRST), (6, FIRST)) == [False, True]
    assert masks.read(np.array([6]))[0].tolist() == mask(20).tolist()
