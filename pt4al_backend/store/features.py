"""Backbone features of a project's images, one row per row of the pixel store, on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


class FeatureFile:
    """float16 features of one network. Column 0 is 1 where a row has been written, so a sparse file reads as empty."""

    def __init__(self, path: Path, *, width: int) -> None:
        """``width``: features per image. The file appears with the first ``write``."""
        self._path = path
        self.width = width
        self._columns = width + 1

    def write(self, rows: NDArray[np.int64], features: NDArray[np.float16]) -> None:
        """Store (n, width) ``features`` of ``rows``. The mark is set last: a kill leaves no half-written row."""
        if not len(rows):
            return
        self._grow(int(rows.max()) + 1)
        table = self._open("r+")
        table[rows, 1:] = features
        table[rows, 0] = 1
        table.flush()

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.float16]:
        """(n, width) features of rows that all have been written."""
        if not len(rows):
            return np.empty((0, self.width), dtype=np.float16)
        return np.asarray(self._open("r")[rows, 1:])

    def missing(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of ``rows`` that have not been written."""
        return rows[~self.has(rows)]

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether each row has been written."""
        written = np.zeros(len(rows), dtype=bool)
        within = rows < self._rows()
        if within.any():
            written[within] = self._open("r")[rows[within], 0] == 1
        return written

    def forget(self, rows: NDArray[np.int64]) -> None:
        """Unmark rows whose image changed."""
        within = rows[rows < self._rows()]
        if len(within):
            table = self._open("r+")
            table[within, 0] = 0
            table.flush()

    def _rows(self) -> int:
        return self._path.stat().st_size // (2 * self._columns) if self._path.exists() else 0

    def _grow(self, rows: int) -> None:
        if rows > self._rows():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "ab") as file:
                file.truncate(rows * 2 * self._columns)

    def _open(self, mode: Literal["r", "r+"]) -> np.memmap[Any, np.dtype[np.float16]]:
        # Mapped anew for each call: pages that were read do not stay in this process's memory.
        return np.memmap(self._path, dtype=np.float16, mode=mode, shape=(self._rows(), self._columns))
