"""Choose uncertain and diverse images: greedy, uncertainty-weighted coverage.

"Uncertainty Herding" (Bae, Oliveira, Sutherland, ICLR 2025): each pick brings as much uncertainty as possible close to
a labelled or picked image. With equal uncertainties that is the most typical image not covered yet, which suits a cold
start. An image similar to a pick gains almost nothing, so near-duplicates do not fill a query.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.candidates import Candidates, Positions

MOST = 1000
"""Choose from at most this many images: time and memory grow with the square."""
WIDTH = 0.5
"""Squared kernel width as a fraction of the mean squared distance."""


def query(candidates: Candidates, n: int) -> Positions:
    """Uncertain images that differ from one another and from labelled ones; typical images before the first label."""
    if not np.isfinite(candidates.uncertainty).any():
        return cover(candidates, np.ones(len(candidates)), n)
    return cover(candidates, np.nan_to_num(candidates.uncertainty, nan=0.0), n)


def cover(candidates: Candidates, weights: NDArray[np.floating], n: int) -> Positions:
    """Choose `n` open candidates with known embeddings from the `MOST` with the largest `weights` (m,)."""
    open_ = np.flatnonzero(candidates.open)
    heaviest = open_[np.lexsort((candidates.random_key[open_], -weights[open_]))[:MOST]]
    eligible = candidates[heaviest]
    positions, embeddings = heaviest[eligible.known], eligible.embeddings[eligible.known]
    return positions[most_informative(embeddings, weights[positions], candidates.labelled_embeddings, wanted=n)]


def most_informative(
    embeddings: NDArray[np.floating], weights: NDArray[np.floating], covered: NDArray[np.floating], *, wanted: int
) -> NDArray[np.int64]:
    """Greedily pick the images that cover the most weight.

    Args:
        embeddings: (m, D) of the images to choose from; compared by direction after standardising.
        weights: (m,), at least 0: the value of covering each image.
        covered: embeddings (l, D) of labelled images.
        wanted: how many to pick.

    Returns:
        `wanted` positions (or all), best first.
    """
    if not len(embeddings):
        return np.empty(0, dtype=np.int64)
    mean, scale = embeddings.mean(axis=0), embeddings.std(axis=0) + 1e-6
    unit, values = _unit((embeddings - mean) / scale), weights.astype(np.float32)
    distances = 2 - 2 * unit @ unit.T
    width = WIDTH * max(float(distances.mean()), 1e-6)
    kernel = np.exp(np.minimum(-distances / width, 0.0))
    cover = np.zeros(len(unit), dtype=np.float32)
    for start in range(0, len(covered), MOST):
        to_covered = 2 - 2 * unit @ _unit((covered[start : start + MOST] - mean) / scale).T
        cover = np.maximum(cover, np.exp(np.minimum(-to_covered / width, 0.0)).max(axis=1))
    picks: list[int] = []
    left = np.ones(len(unit), dtype=bool)
    for _ in range(min(wanted, len(unit))):
        gains = np.maximum(kernel - cover, 0.0) @ values
        pick = int(np.where(left, gains, -1.0).argmax())
        picks.append(pick)
        left[pick] = False
        cover = np.maximum(cover, kernel[pick])
    return np.array(picks, dtype=np.int64)


def _unit(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    embeddings = embeddings.astype(np.float32)
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
