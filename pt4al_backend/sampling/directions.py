"""Directions of embeddings: what strategies compare images by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 256
"""At most this many principal components are kept."""
STEPS = 2
"""Of the subspace iteration that finds them."""


@dataclass(frozen=True)
class Directions:
    """Standardise embeddings, keep their main principal components, and scale them to length 1."""

    mean: NDArray[np.float32]
    """(D,)"""
    scale: NDArray[np.float32]
    """(D,) to divide by."""
    components: NDArray[np.float32] | None
    """(D, DIMENSIONS); None: all values are kept."""

    @classmethod
    def of(cls, embeddings: NDArray[np.floating]) -> Directions:
        """Those of embeddings that are distributed like these (m, D)."""
        mean, scale = embeddings.mean(axis=0), embeddings.std(axis=0) + 1e-6
        components = _components((embeddings - mean) / scale) if embeddings.shape[1] > DIMENSIONS else None
        return cls(mean, scale, components)

    def __call__(self, embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
        """Unit vectors (m, d) of embeddings (m, D)."""
        values = ((embeddings - self.mean) / self.scale).astype(np.float32)
        if self.components is not None:
            values = values @ self.components
        return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _components(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """(D, DIMENSIONS) an orthonormal basis of the main principal components of values (m, D), m and D large."""
    basis = np.random.default_rng(0).normal(size=(values.shape[1], DIMENSIONS))
    for _ in range(STEPS):
        basis = _orthonormal(values.T @ (values @ basis.astype(np.float32)))
    return basis.astype(np.float32)


def _orthonormal(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """(D, k) an orthonormal basis of the span of these (D, k), by Cholesky's decomposition, which is quicker than QR.

    If they span fewer than k dimensions, what is left of the basis is close to 0.
    """
    vectors = vectors.astype(np.float64)
    products = vectors.T @ vectors
    factor = np.linalg.cholesky(products + (1e-10 * np.trace(products) + 1e-30) * np.eye(len(products)))
    basis: NDArray[np.float64] = np.linalg.solve(factor, vectors.T).T
    return basis
