"""Decoded images of one project on disk, as uint8 rows addressed by number."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.store.row_file import RowFile

Rows = NDArray[np.integer]
Pixels = NDArray[np.uint8]


class PixelStore:
    """(size, size, 3) uint8 images by row number. Any number of processes may read while one writes.

    Every row whose `write` returned is on disk and survives a kill. Unwritten rows below a written one read as black:
    the database knows which rows have been written.
    """

    def __init__(self, directory: Path, *, size: int) -> None:
        self.size = size
        self._directory = directory
        self._path = directory / f"{size}px.bin"
        self._file = RowFile(self._path, dtype=np.uint8, columns=size * size * 3, mark=0)
        if directory.exists() and not self._path.exists():
            self._join_shards()

    def write(self, rows: Rows, pixels: Pixels) -> None:
        """Store `pixels` (n, size, size, 3) at `rows` (n,). They are on disk when it returns.

        Raises:
            PT4ALError: The disk is full or not writable; the rows of this call are then undefined.
        """
        rows = self._checked(rows)
        if pixels.dtype != np.uint8 or pixels.shape != (len(rows), *self._row_shape):
            raise ValueError(
                f"pixels must be uint8 of shape {(len(rows), *self._row_shape)}, "
                f"not {pixels.dtype} of shape {pixels.shape}"
            )
        if len(rows):
            self._file.write(rows, np.empty((len(rows), 0)), pixels.reshape(len(rows), -1))

    def read(self, rows: Rows) -> Pixels:
        """Read the images at `rows` (n,), in that order: (n, size, size, 3) uint8, a copy.

        Raises:
            IndexError: A row has no place on disk.
        """
        try:
            return self._file.read(self._checked(rows)).reshape(-1, *self._row_shape)
        except IndexError as error:
            raise IndexError(f"No image of {self.size} px is stored at row {error}: fetch it again.") from None

    def lacks(self, rows: Rows) -> bool:
        """Whether any of `rows` has no place on disk."""
        return len(rows) > 0 and int(np.max(rows)) >= self._file.rows

    def remove(self) -> None:
        """Delete the directory with everything in it."""
        if self._directory.exists():
            shutil.rmtree(self._directory)

    @property
    def _row_shape(self) -> tuple[int, int, int]:
        return self.size, self.size, 3

    @staticmethod
    def _checked(rows: Rows) -> NDArray[np.int64]:
        if np.ndim(rows) != 1 or (len(rows) and np.min(rows) < 0):
            raise IndexError("Row numbers must be a one-dimensional array of numbers from 0 up.")
        return np.asarray(rows, np.int64)

    def _join_shards(self) -> None:
        """Convert the images of earlier releases, which kept them in .npy files of 1,024 each."""
        shards = sorted(self._directory.glob(f"{self.size}px-*.npy"))
        if not shards:
            return
        unfinished = self._path.with_suffix(".tmp")
        unfinished.unlink(missing_ok=True)
        joined = RowFile(unfinished, dtype=np.uint8, columns=self.size * self.size * 3, mark=0)
        for shard in shards:
            images = np.load(shard, mmap_mode="r", allow_pickle=False)
            first = int(shard.stem.rpartition("-")[2]) * len(images)
            written = np.flatnonzero(images.any(axis=(1, 2, 3)))
            for part in np.array_split(written, range(64, len(written), 64)) if len(written) else ():
                joined.write(first + part, np.empty((len(part), 0)), images[part].reshape(len(part), -1))
        joined.reserve(np.array([(int(shards[-1].stem.rpartition("-")[2]) + 1) * len(images) - 1]))
        unfinished.replace(self._path)
        for shard in shards:
            shard.unlink()
