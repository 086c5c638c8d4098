"""Rows of equal length in a sparse file: decoded images, embeddings, masks.

Rows are read and written with file operations, not through a memory map. A write to a mapped hole on a full disk, or a
read of a mapped file on a failing one, is a SIGBUS; file operations raise errors instead, and the pages that they read
never count as this process's memory. Marks are the exception: a few bytes of each of very many rows.

Median CPU time of 5 calls on 100,000 rows of 1,026 bytes, page cache warm, one core, in ms:

    what                        file operations    a map for the call
    64 rows                                0.07                  0.21
    4,096 rows                             6.0                   2.7
    the marks of 100,000 rows            121                     2.8
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pt4al_backend.errors import PT4ALError


class RowFile:
    """A table of numbers of one type; the first numbers of a row, its mark, say that it has been written.

    A row that was never written reads as zeros. `write` clears the mark first and sets it last, when the rest is on
    disk, so that a kill never leaves a marked row half written. Any number of processes may read while the threads of
    one process write.
    """

    def __init__(self, path: Path, *, dtype: DTypeLike, columns: int, mark: int) -> None:
        """The first `write` creates the file.

        Args:
            path: The file.
            dtype: Type of the numbers.
            columns: Numbers per row.
            mark: How many of them, the first ones, are the mark; with 0, only the caller knows which rows have been
                written.
        """
        self._path = path
        self._growing = threading.Lock()
        self._dtype = np.dtype(dtype)
        self._columns, self._mark = columns, mark
        self._row_bytes = columns * self._dtype.itemsize

    @property
    def rows(self) -> int:
        """The number of rows that have a place on disk, written or not."""
        return self._path.stat().st_size // self._row_bytes if self._path.exists() else 0

    def write(self, rows: NDArray[np.int64], marks: NDArray[Any], values: NDArray[Any]) -> None:
        """Store (n, `mark`) `marks` and (n, `columns - mark`) `values`.

        Raises:
            PT4ALError: The disk is full or not writable; these rows are then unmarked.
        """
        content = self._checked(rows, values, self._columns - self._mark)
        marks = self._checked(rows, marks, self._mark)
        with self._opened(rows) as file:
            self._put(file, rows, np.zeros_like(marks), column=0)
            self._put(file, rows, content, column=self._mark)
            os.fsync(file.fileno())
            self._put(file, rows, marks, column=0)

    def reserve(self, rows: NDArray[np.int64]) -> None:
        """Make room for `rows`. Raises the errors of `write`."""
        with self._opened(rows):
            pass

    def forget(self, rows: NDArray[np.int64]) -> None:
        """Clear the marks of `rows`. Raises the errors of `write`."""
        rows = rows[rows < self.rows]
        if len(rows):
            with self._opened(rows) as file:
                self._put(file, rows, np.zeros((len(rows), self._mark), dtype=self._dtype), column=0)

    def read(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the values that `write` stored after the marks: (n, `columns - mark`).

        Raises:
            IndexError: One of `rows` has no place on disk.
        """
        values = np.empty((len(rows), self._columns - self._mark), dtype=self._dtype)
        if not len(rows):
            return values
        bytes_, offset = values.data.cast("B"), self._mark * self._dtype.itemsize
        width = self._row_bytes - offset
        try:
            with self._path.open("rb", buffering=0) as file:
                for place, row in enumerate(rows.tolist()):
                    file.seek(row * self._row_bytes + offset)
                    if file.readinto(bytes_[place * width : (place + 1) * width]) < width:
                        raise IndexError(row)
        except FileNotFoundError:
            raise IndexError(int(rows[0])) from None
        return values

    def marks(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Read the marks of `rows`: (n, `mark`), zeros where a row was never written."""
        marks = np.zeros((len(rows), self._mark), dtype=self._dtype)
        within = rows < self.rows
        if within.any():
            table = np.memmap(self._path, dtype=self._dtype, mode="r", shape=(self.rows, self._columns))
            marks[within] = table[rows[within], : self._mark]
        return marks

    def _checked(self, rows: NDArray[np.int64], values: NDArray[Any], columns: int) -> NDArray[Any]:
        if values.shape != (len(rows), columns):
            raise ValueError(f"{(len(rows), columns)} values are expected, not {values.shape}")
        return np.ascontiguousarray(values, dtype=self._dtype)

    @contextmanager
    def _opened(self, rows: NDArray[np.int64]) -> Iterator[IO[bytes]]:
        """The file, with a place for each of `rows`."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            with open(descriptor, "r+b", buffering=0) as file:
                end = (int(rows.max()) + 1) * self._row_bytes
                with self._growing:  # else a slower thread could cut off what a faster one has added
                    if end > os.fstat(descriptor).st_size:
                        file.truncate(end)
                yield file
        except OSError as error:
            raise PT4ALError(
                f"Cannot write to {self._path} ({error.strerror}): free some disk space, or make it writable."
            ) from error

    def _put(self, file: IO[bytes], rows: NDArray[np.int64], values: NDArray[Any], *, column: int) -> None:
        for row, value in zip(rows.tolist() if values.shape[1] else [], values, strict=False):
            file.seek(row * self._row_bytes + column * self._dtype.itemsize)
            if file.write(value.data) < value.nbytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
