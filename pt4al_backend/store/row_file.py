"""Rows of equal length in a file that is sparse until they are written.

Rows are written through the file, not through a map of it: on a full disk that is an error that can be told,
where a write to a mapped hole is a SIGBUS. They are read through a map, made anew for each call, so that pages
that were read do not stay in this process's memory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pt4al_backend.errors import PT4ALError


class RowFile:
    """A table of `columns` numbers of one kind, the first `mark` of which tell that a row is there.

    A row that was never written reads as zeros. The mark is taken away first and put there last, when the rest is on
    disk: a kill leaves no half-written row that says it is there.
    """

    def __init__(self, path: Path, *, dtype: DTypeLike, columns: int, mark: int) -> None:
        """The file appears with the first `write`."""
        self._path = path
        self._dtype = np.dtype(dtype)
        self._columns, self._mark = columns, mark
        self._row_bytes = columns * self._dtype.itemsize

    @property
    def rows(self) -> int:
        """One more than the highest row that has a place on disk."""
        return self._path.stat().st_size // self._row_bytes if self._path.exists() else 0

    def write(self, rows: NDArray[np.int64], marks: NDArray[Any], values: NDArray[Any]) -> None:
        """Store (n, `mark`) `marks` and (n, `columns - mark`) `values`.

        Raises PT4ALError where the disk is full or not writable; these rows are then not there.
        """
        content = self._checked(rows, values, self._columns - self._mark)
        marks = self._checked(rows, marks, self._mark)
        with self._opened(rows) as file:
            self._put(file, rows, np.zeros_like(marks), column=0)
            self._put(file, rows, content, column=self._mark)
            os.fsync(file.fileno())
            self._put(file, rows, marks, column=0)

    def forget(self, rows: NDArray[np.int64]) -> None:
        """Take the marks of `rows` away. Raises as `write` does."""
        rows = rows[rows < self.rows]
        if len(rows):
            with self._opened(rows) as file:
                self._put(file, rows, np.zeros((len(rows), self._mark), dtype=self._dtype), column=0)

    def read(self, rows: NDArray[np.int64], columns: slice) -> NDArray[Any]:
        """(n, k) some columns of `rows`, all of which have a place on disk."""
        shape = (self.rows, self._columns)
        return np.asarray(np.memmap(self._path, dtype=self._dtype, mode="r", shape=shape)[rows, columns])

    def _checked(self, rows: NDArray[np.int64], values: NDArray[Any], columns: int) -> NDArray[Any]:
        if values.shape != (len(rows), columns):
            raise ValueError(f"{(len(rows), columns)} values are wanted, not {values.shape}")
        return np.ascontiguousarray(values, dtype=self._dtype)

    @contextmanager
    def _opened(self, rows: NDArray[np.int64]) -> Iterator[IO[bytes]]:
        """The file, with a place for each of `rows`."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with open(self._path, "r+b" if self._path.exists() else "w+b", buffering=0) as file:
                end = (int(rows.max()) + 1) * self._row_bytes
                if end > os.fstat(file.fileno()).st_size:
                    file.truncate(end)
                yield file
        except OSError as error:
            raise PT4ALError(
                f"Cannot write to {self._path} ({error.strerror}): free some disk space, or make it writable."
            ) from error

    def _put(self, file: IO[bytes], rows: NDArray[np.int64], values: NDArray[Any], *, column: int) -> None:
        for row, value in zip(rows.tolist(), values, strict=True):
            file.seek(row * self._row_bytes + column * self._dtype.itemsize)
            if file.write(value.data) < value.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
