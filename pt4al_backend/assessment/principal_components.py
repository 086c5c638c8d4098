"""Principal components of many long vectors, computed in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

MOST = 10_000
"""Vectors, evenly spaced, that the components are computed from: more change them little."""
BLOCK = 2_000
"""Vectors that are converted to float32 at a time."""


@dataclass(frozen=True)
class PrincipalComponents:
    """The main directions of vectors (n, D)."""

    mean: NDArray[np.float32]
    """(D,)"""
    axes: NDArray[np.float32]
    """(D, k), orthonormal, the one with the largest variance first."""
    variances: NDArray[np.float32]
    """(k,)"""

    @classmethod
    def of(cls, vectors: NDArray[np.floating], k: int) -> PrincipalComponents:
        """The first `k` components, or all if there are fewer; the sign of each is that of its largest weight.

        Args:
            vectors: (n, D), n at least 1, of any type of float.
            k: how many.
        """
        sample = vectors[np.linspace(0, len(vectors) - 1, min(len(vectors), MOST)).astype(np.int64)]
        mean = sample.mean(axis=0, dtype=np.float64).astype(np.float32)
        width = sample.shape[1]
        products = np.zeros((width, width), dtype=np.float32)
        for block in _blocks(sample):
            centred = block - mean
            products += centred.T @ centred
        k = min(k, width)
        variances, axes = scipy.linalg.eigh(products / len(sample), subset_by_index=(width - k, width - 1))
        axes = axes[:, ::-1] * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(k)])[::-1]
        return cls(mean, np.ascontiguousarray(axes), np.maximum(variances[::-1], 0).copy())

    def __call__(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, k) the coordinates of vectors (n, D)."""
        found = np.empty((len(vectors), self.axes.shape[1]), dtype=np.float32)
        for start, block in zip(range(0, len(vectors), BLOCK), _blocks(vectors), strict=True):
            found[start : start + BLOCK] = (block - self.mean) @ self.axes
        return found

    def whitened(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """(n, k) the directions, of length 1, of vectors (n, D) after whitening.

        Every variance counts as larger by their mean, so that small ones, which are mostly noise, are not inflated
        (Ledoit & Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004).
        """
        values = self(vectors)
        values /= np.sqrt(self.variances + self.variances.mean() + np.float32(1e-12))
        values /= np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
        return values


def _blocks(vectors: NDArray[np.floating]) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(vectors), BLOCK):
        yield vectors[start : start + BLOCK].astype(np.float32)
