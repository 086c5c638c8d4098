"""Apply a linear probe to every pixel of images.

With a pretrained encoder from the stored patch embeddings, whose grid is fine. Those of the project's own networks are
coarser than the networks' maps, which are computed again from the stored pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.embedding_files import EmbeddingFiles
from pt4al_backend.active_learning.training_data import IN_MEMORY

Logits = tuple[NDArray[np.int64], NDArray[np.floating]]


def segment(
    head: learning.Head,
    files: EmbeddingFiles,
    pixels: learning.Images,
    rows: NDArray[np.int64],
    *,
    side: int,
    device: str,
) -> Iterator[Logits]:
    """Logits of every pixel of the images in `rows`.

    Args:
        head: a probe on patch embeddings.
        files: the images' embeddings.
        pixels: the images as they are stored; with a pretrained encoder they are not read.
        rows: (n,) of images that have embeddings.
        side: of the results in pixels with a pretrained encoder; otherwise it is half the side of the stored images.
        device: `cpu`, `cuda` or `cuda:<n>`.

    Yields:
        For each chunk its rows (k,), and logits (k, side, side, classes).
    """
    layout = files.encoder.patches
    if not files.encoder.pretrained or layout is None or files.patches is None:
        yield from files.encoder.segment(head, pixels, rows, device=device)
        return
    at_once = max(1, IN_MEMORY // layout.size)
    for start in range(0, len(rows), at_once):
        chunk = rows[start : start + at_once]
        yield chunk, layout.logits(files.patches.read(chunk), head, side=side)
