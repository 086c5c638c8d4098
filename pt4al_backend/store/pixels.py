"""Decoded images of one project as uint8 shards on disk, addressed by row number.

A shard is an ordinary .npy file, sparse until it is written. Rows are read and written through the file, not
through a map of it, for three reasons. A write to a mapped sparse file on a full disk, and a read of one that
another process cuts short, is a SIGBUS; through the file both are errors that can be told. Pages read
through the file are never counted as this process's memory. And it is faster than mapping per call. Random
rows out of 50,000 at 64 px, page cache warm, 2 shared cores, median CPU time of 100 calls in us per image:

    way                          64 rows   256 rows   resident after reading all 50,000
    read each row (this)            10.5        6.2    46 MiB
    map each shard per call         49         23.5    46 MiB
    kept maps, MADV_DONTNEED        14.5       10.7    46 MiB
    kept maps                        7.1        3.1   632 MiB
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.errors import PT4ALError

Rows = NDArray[np.integer]
Pixels = NDArray[np.uint8]


class PixelStore:
    """(size, size, 3) uint8 images by row number. Any number of processes may read while one writes.

    Rows never written but inside a shard read as black. After a kill at any moment every shard is whole
    and every row whose `write` returned is there.
    """

    def __init__(self, directory: Path, *, size: int, shard_rows: int = 1024) -> None:
        self.size = size
        self._directory = directory
        self._shard_rows = shard_rows
        self._row_bytes = size * size * 3
        self._growing = threading.Lock()

    @property
    def rows_capacity(self) -> int:
        """One more than the highest row that has a place on disk now."""
        names = (re.fullmatch(rf"{self.size}px-(\d+)\.npy", path.name) for path in self._listing())
        return self._shard_rows * max((int(name[1]) + 1 for name in names if name), default=0)

    def write(self, rows: Rows, pixels: Pixels) -> None:
        """Store `pixels` (n, size, size, 3) at `rows` (n,); on disk when it returns.

        Raises PT4ALError where the disk is full or not writable; the rows of this call are then undefined.
        """
        rows = self._checked(rows)
        if pixels.dtype != np.uint8 or pixels.shape != (len(rows), *self._row_shape):
            raise ValueError(
                f"pixels must be uint8 of shape {(len(rows), *self._row_shape)}, "
                f"not {pixels.dtype} of shape {pixels.shape}"
            )
        images = np.ascontiguousarray(pixels)
        try:
            for shard, places in self._by_shard(rows):
                path = self._path(shard)
                if not path.exists():
                    self._grow(path)
                with path.open("r+b") as file:
                    for place, offset in zip(places, self._offsets(file, rows[places]), strict=True):
                        file.seek(offset)
                        file.write(images[place].data)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise PT4ALError(
                f"Cannot write images to {self._directory} ({error.strerror}): "
                "free some disk space, or make it writable."
            ) from error

    def read(self, rows: Rows) -> Pixels:
        """The images at `rows` (n,), in that order: (n, size, size, 3) uint8, a copy.

        Raises IndexError for a row that is in no shard.
        """
        rows = self._checked(rows)
        images = np.empty((len(rows), *self._row_shape), np.uint8)
        for shard, places in self._by_shard(rows):
            try:
                with self._path(shard).open("rb", buffering=0) as file:
                    for place, offset in zip(places, self._offsets(file, rows[places]), strict=True):
                        file.seek(offset)
                        file.readinto(images[place].data)
            except FileNotFoundError:
                raise IndexError(
                    f"No image of {self.size} px is stored at row {rows[places[0]]}: fetch it again."
                ) from None
        return images

    def lacks(self, rows: Rows) -> bool:
        """Whether any of `rows` has no place on disk."""
        return not all(self._path(int(shard)).exists() for shard in np.unique(np.asarray(rows) // self._shard_rows))

    def remove(self) -> None:
        """Delete the directory with all that is in it."""
        if self._directory.exists():
            shutil.rmtree(self._directory)

    @property
    def _row_shape(self) -> tuple[int, int, int]:
        return self.size, self.size, 3

    def _checked(self, rows: Rows) -> NDArray[np.int64]:
        if np.ndim(rows) != 1 or (len(rows) and np.min(rows) < 0):
            raise IndexError("Row numbers are a one-dimensional array of numbers from 0 up.")
        return np.asarray(rows, np.int64)

    def _by_shard(self, rows: NDArray[np.int64]) -> Iterator[tuple[int, list[int]]]:
        """Shard numbers with the places in `rows` that belong to them, in the order given (the last of
        two equal rows is written last)."""
        if len(rows) == 0:
            return
        shards = rows // self._shard_rows
        order = np.argsort(shards, kind="stable")
        for places in np.split(order, np.flatnonzero(np.diff(shards[order])) + 1):
            yield int(shards[places[0]]), places.tolist()

    def _offsets(self, file: IO[bytes], rows: NDArray[np.int64]) -> list[int]:
        """Where rows begin in an open shard. The header is what the file has beyond its rows."""
        header = os.fstat(file.fileno()).st_size - self._shard_rows * self._row_bytes
        if header not in range(64, 1025, 64):  # .npy headers are padded to a multiple of 64
            raise PT4ALError(f"{file.name} does not hold {self._shard_rows} images: reset this project.")
        offsets: list[int] = (header + rows % self._shard_rows * self._row_bytes).tolist()
        return offsets

    def _path(self, shard: int) -> Path:
        return self._directory / f"{self.size}px-{shard:05d}.npy"

    def _grow(self, path: Path) -> None:
        """Create an empty, sparse shard: whole under its name, or not there."""
        with self._growing:
            if path.exists():  # another thread was faster
                return
            self._directory.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".tmp")
            shape = (self._shard_rows, *self._row_shape)
            open_memmap: Any = np.lib.format.open_memmap  # numpy 2.2 gives it no types
            open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
            with unfinished.open("rb") as file:
                os.fsync(file.fileno())
            unfinished.replace(path)

    def _listing(self) -> list[Path]:
        return list(self._directory.iterdir()) if self._directory.exists() else []
