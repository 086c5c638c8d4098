"""Segmentation masks of a project's labelled images on disk, drawn at the size used in training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.store.row_file import RowFile
from pt4al_backend.store.tasks import DIGEST


class MaskFile:
    """uint8 masks, one per row of the pixel store, each with the digest of the regions it was drawn from."""

    def __init__(self, path: Path, *, side: int) -> None:
        """The first `write` creates the file.

        Args:
            path: The file.
            side: Height and width of a mask in pixels.
        """
        self.side = side
        self._file = RowFile(path, dtype=np.uint8, columns=DIGEST + side * side, mark=DIGEST)

    def write(self, row: int, digest: str, mask: NDArray[np.uint8]) -> None:
        """Store a (side, side) mask.

        Raises:
            PT4ALError: The disk is full or not writable.
        """
        self._file.write(np.array([row]), _digits([digest]), mask.reshape(1, -1))

    def forget(self, rows: NDArray[np.int64]) -> None:
        """Unmark rows whose image changed."""
        self._file.forget(rows)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The (n, side, side) masks of `rows`, all of which have been written."""
        return self._file.read(rows).reshape(-1, self.side, self.side)

    def has(self, rows: NDArray[np.int64], digests: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) booleans: whether the mask of each row was drawn from the regions with its digest."""
        return np.asarray((self._file.marks(rows) == _digits(digests)).all(axis=1))


def _digits(digests: Sequence[str]) -> NDArray[np.uint8]:
    """The digests as (n, DIGEST) bytes."""
    return np.array([list(bytes.fromhex(digest)) for digest in digests], dtype=np.uint8).reshape(-1, DIGEST)
