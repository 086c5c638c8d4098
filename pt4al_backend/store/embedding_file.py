"""Embeddings of a project's images on disk, one row per row of the pixel store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.store.row_file import RowFile


class EmbeddingFile:
    """The float16 embeddings of one encoder. Column 0 is 1 if a row has been written."""

    def __init__(self, path: Path, *, width: int) -> None:
        """The first `write` creates the file.

        Args:
            path: The file.
            width: Values per image.
        """
        self.width = width
        self._file = RowFile(path, dtype=np.float16, columns=1 + width, mark=1)

    def write(self, rows: NDArray[np.int64], features: NDArray[np.float16]) -> None:
        """Store the (n, width) `features` of `rows`.

        Raises:
            PT4ALError: The disk is full or not writable.
        """
        if len(rows):
            self._file.write(rows, np.ones((len(rows), 1)), features)

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """The (n, width) features of `rows`, all of which have been written."""
        return self._file.read(rows)

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) booleans: whether each row has been written."""
        return np.asarray(self._file.marks(rows)[:, 0] == 1)

    def forget(self, rows: NDArray[np.int64]) -> None:
        """Unmark rows whose image changed."""
        self._file.forget(rows)
