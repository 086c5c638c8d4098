"""Choose uncertain and diverse images: greedy, uncertainty-weighted coverage.

"Uncertainty Herding" (Bae, Oliveira, Sutherland, ICLR 2025): each pick brings as much uncertainty as possible close to
a labelled or picked image. With equal uncertainties that is the most typical image not covered yet, which suits a cold
start. An image similar to a pick gains almost nothing, so near-duplicates do not fill a query.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.candidates import Candidates, Positions
from pt4al_backend.sampling.directions import Directions

MOST = 2500
"""Of a larger pool, so many images stand for all: time and memory grow with the square."""
_AT_ONCE = 32
"""Images whose gains are computed again at a time."""
WIDTH = 0.5
"""Squared kernel width as a fraction of the mean squared distance."""


def query(candidates: Candidates, n: int) -> Positions:
    """Uncertain images that differ from one another and from labelled ones; typical images before the first label."""
    if not np.isfinite(candidates.uncertainty).any():
        return cover(candidates, np.ones(len(candidates)), n)
    return cover(candidates, np.nan_to_num(candidates.uncertainty, nan=0.0), n)


def cover(candidates: Candidates, weights: NDArray[np.floating], n: int, *, width: float = WIDTH) -> Positions:
    """Choose `n` open candidates with known embeddings that cover the most of the `weights` (m,).

    `width` is the squared kernel width as a fraction of the mean squared distance.
    """
    open_ = np.flatnonzero(candidates.open)
    drawn, stands_for = draw(weights[open_], candidates.random_key[open_], max(MOST, n))
    eligible = candidates[open_[drawn]]
    positions, embeddings = open_[drawn][eligible.known], eligible.embeddings[eligible.known]
    values = stands_for[eligible.known]
    return positions[most_informative(embeddings, values, candidates.labelled_embeddings, wanted=n, width=width)]


def draw(
    weights: NDArray[np.floating], random_key: NDArray[np.floating], wanted: int
) -> tuple[Positions, NDArray[np.float64]]:
    """Draw images in proportion to their weights, and say what weight of the pool each stands for.

    An image's chance to be drawn is known (Cohen & Kaplan, "Summarizing Data Using Bottom-k Sketches", PODC 2007), so
    dividing by it makes sums over the sample estimates of sums over the pool. The keys are fixed per image, so a small
    change of the weights changes little of the sample.

    Args:
        weights: (m,), at least 0.
        random_key: (m,) in [0, 1); determines the draws.
        wanted: how many to draw.

    Returns:
        (k,) the positions of all images, or of `wanted`, heaviest first; and (k,) what each stands for.
    """
    drawn: Positions = np.arange(len(weights))
    if len(weights) > wanted:
        weights = np.maximum(weights, 1e-9)
        waits = -np.log1p(-random_key) / weights
        first = np.argpartition(waits, wanted)
        drawn, longest = first[:wanted], waits[first[wanted]]
        weights = weights / -np.expm1(-weights * longest)
    order = np.lexsort((random_key[drawn], -weights[drawn]))
    return drawn[order], weights[drawn[order]].astype(np.float64)


def most_informative(
    embeddings: NDArray[np.floating],
    weights: NDArray[np.floating],
    covered: NDArray[np.floating],
    *,
    wanted: int,
    width: float = WIDTH,
) -> NDArray[np.int64]:
    """Greedily pick the images that cover the most weight, lazily ("Accelerated greedy algorithms", Minoux, 1978).

    Args:
        embeddings: (m, D) of the images to choose from; compared by direction after standardising.
        weights: (m,), at least 0: the value of covering each image.
        covered: embeddings (l, D) of labelled images.
        wanted: how many to pick.
        width: squared kernel width as a fraction of the mean squared distance.

    Returns:
        `wanted` positions (or all), best first.
    """
    if not len(embeddings):
        return np.empty(0, dtype=np.int64)
    directions = Directions.of(embeddings)
    unit, values = directions(embeddings), weights.astype(np.float32)
    kernel = _distances(unit, unit)
    width *= max(float(kernel.mean()), 1e-6)
    kernel = _kernel(kernel, width)
    cover = np.zeros(len(unit), dtype=np.float32)
    for start in range(0, len(covered), MOST):
        to_covered = _distances(directions(covered[start : start + MOST]), unit)
        cover = np.maximum(cover, _kernel(to_covered, width).max(axis=0))
    picks: list[int] = []
    gains = np.maximum(kernel, cover) @ values - cover @ values
    for _ in range(min(wanted, len(unit))):
        known = np.isneginf(gains)  # gains only fall as more is covered, so that old ones are upper bounds
        while not known[pick := int(gains.argmax())]:
            unknown = np.flatnonzero(~known)  # of many equal gains, as of copies of an image, any may be the largest
            largest = unknown[np.argpartition(-gains[unknown], min(_AT_ONCE, len(unknown)) - 1)[:_AT_ONCE]]
            gains[largest] = np.maximum(kernel[largest], cover) @ values - cover @ values
            known[largest] = True
        picks.append(pick)
        gains[pick] = -np.inf
        cover = np.maximum(cover, kernel[pick])
    return np.array(picks, dtype=np.int64)


def _distances(unit: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Squared distances (m, k) of unit vectors (m, d) and (k, d)."""
    return 2 - 2 * unit @ others.T


def _kernel(distances: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    return np.exp(np.minimum(-distances / width, 0.0))
