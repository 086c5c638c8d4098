"""The embeddings of a project's images by one encoder, on disk."""

from __future__ import annotations

import contextlib
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.store.embedding_file import EmbeddingFile

VECTORS, PATCHES = "embeddings", "patches"
_OLD_NAMES = {"features": VECTORS, "grid": PATCHES}


@dataclass(frozen=True)
class EmbeddingFiles:
    """One file of vectors, and one of patch embeddings where the encoder gives them; both are named after it."""

    encoder: learning.Encoder
    vectors: EmbeddingFile
    """One embedding per image."""
    patches: EmbeddingFile | None
    """The patch embeddings of an image, as its encoder's `PatchLayout` says."""

    @classmethod
    def of(cls, encoder: learning.Encoder, directory: Path, *, input_size: int = 0) -> EmbeddingFiles:
        """The files of an encoder in a directory; they appear when they are written.

        Args:
            encoder: the encoder.
            directory: the directory.
            input_size: as in `StoredNetworks.encoder`.
        """
        vectors, patches = (directory / name for name in file_names(encoder.name, input_size=input_size))
        of_cells = None if encoder.patches is None else EmbeddingFile(patches, width=encoder.patches.size)
        return cls(encoder, EmbeddingFile(vectors, width=encoder.dimension), of_cells)

    def has(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n,) whether each image is embedded."""
        embedded = self.vectors.has(rows)
        return embedded if self.patches is None else embedded & self.patches.has(rows)

    def missing(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `rows` whose images are not embedded."""
        return rows[~self.has(rows)]

    def write(self, rows: NDArray[np.int64], vectors: NDArray[np.float16], patches: NDArray[np.float16] | None) -> None:
        """Store embeddings (n, D) and patch embeddings (n, size) of `rows`."""
        self.vectors.write(rows, vectors)
        if self.patches is not None and patches is not None:
            self.patches.write(rows, patches)

    def forget(self, rows: NDArray[np.int64]) -> None:
        """Unmark rows whose image changed."""
        self.vectors.forget(rows)
        if self.patches is not None:
            self.patches.forget(rows)


def file_names(encoder: str, *, input_size: int = 0) -> tuple[str, str]:
    """Of an encoder's vectors and patch embeddings; see `EmbeddingFiles.of`."""
    plain = re.sub(r"[^\w.-]+", "-", encoder)
    if plain != encoder:  # others may come to the same, and a path in it may be long
        plain = f"{plain[:80]}-{hashlib.blake2b(encoder.encode(), digest_size=4).hexdigest()}"
    if input_size:
        plain += f"-{input_size}px"
    return f"{VECTORS}-{plain}.bin", f"{PATCHES}-{plain}.bin"


def adopt_old_names(directory: Path) -> None:
    """Give the files of a data directory of 0.1.0 the names they have today."""
    for old, new in _OLD_NAMES.items():
        for path in directory.glob(f"{old}-*.bin"):
            with contextlib.suppress(OSError):  # their images are embedded again then
                path.rename(path.with_name(path.name.replace(old, new, 1)))
