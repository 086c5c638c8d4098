"""Segmentations of a project's labelled images, drawn at the side they are learnt at, on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.store.tasks import DIGEST


class MaskFile:
    """uint8 masks by row of the pixel store, each with the digest of the regions it was drawn from."""

    def __init__(self, path: Path, *, side: int) -> None:
        """``side``: of a mask, in pixels. The file appears with the first ``write``."""
        self._path = path
        self.side = side
        self._columns = DIGEST + side * side

    def write(self, row: int, digest: str, mask: NDArray[np.uint8]) -> None:
        """Store a mask (side, side). The digest is set last: a kill leaves no half-drawn mask."""
        self._grow(row + 1)
        table = self._open("r+")
        table[row, DIGEST:] = mask.reshape(-1)
        table[row, :DIGEST] = np.frombuffer(bytes.fromhex(digest), dtype=np.uint8)
        table.flush()

    def read(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(n, side, side) masks of rows that all have been written."""
        if not len(rows):
            return np.empty((0, self.side, self.side), dtype=np.uint8)
        return np.asarray(self._open("r")[rows, DIGEST:]).reshape(-1, self.side, self.side)

    def has(self, rows: NDArray[np.int64], digests: Sequence[str]) -> NDArray[np.bool_]:
        """(n,) whether the mask of each row was drawn from the regions with this digest."""
        there = np.zeros(len(rows), dtype=bool)
        within = rows < self._rows()
        if within.any():
            wanted = np.array([list(bytes.fromhex(digest)) for digest in digests], dtype=np.uint8)
            there[within] = (self._open("r")[rows[within], :DIGEST] == wanted[within]).all(axis=1)
        return there

    def _rows(self) -> int:
        return self._path.stat().st_size // self._columns if self._path.exists() else 0

    def _grow(self, rows: int) -> None:
        if rows > self._rows():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "ab") as file:
                file.truncate(rows * self._columns)

    def _open(self, mode: Literal["r", "r+"]) -> np.memmap[Any, np.dtype[np.uint8]]:
        return np.memmap(self._path, dtype=np.uint8, mode=mode, shape=(self._rows(), self._columns))
