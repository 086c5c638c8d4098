"""The nearest neighbours of vectors, exactly, in blocks."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

BLOCK = 128
"""Vectors whose similarities to all others are in memory at a time."""

Neighbours = tuple[NDArray[np.int64], NDArray[np.float32]]
"""(n, k) positions, the nearest first, and (n, k) their similarities."""


def nearest(unit: NDArray[np.float32], k: int) -> Neighbours:
    """The neighbours of each vector among the others, by cosine similarity.

    Args:
        unit: (n, d) of length 1.
        k: how many, less than n.
    """
    return _at_once(_nearest(unit, unit, k, itself=False))


def search_nearest(unit: NDArray[np.float32], k: int) -> Generator[float, None, Neighbours]:
    """As `nearest`, one block after the other: yields which part is done, and returns the neighbours."""
    return _nearest(unit, unit, k, itself=False)


def nearest_among(unit: NDArray[np.float32], others: NDArray[np.float32], k: int) -> Neighbours:
    """The neighbours of vectors (n, d) among others (m, d), all of length 1; k is at most m."""
    return _at_once(_nearest(unit, others, k, itself=True))


def _at_once(search: Generator[float, None, Neighbours]) -> Neighbours:
    while True:
        try:
            next(search)
        except StopIteration as end:
            found: Neighbours = end.value
            return found


def _nearest(
    unit: NDArray[np.float32], others: NDArray[np.float32], k: int, *, itself: bool
) -> Generator[float, None, Neighbours]:
    positions = np.empty((len(unit), k), dtype=np.int64)
    similarities = np.empty((len(unit), k), dtype=np.float32)
    for start in range(0, len(unit), BLOCK):
        block = unit[start : start + BLOCK] @ others.T
        rows = np.arange(len(block))
        if not itself:
            block[rows, start + rows] = -np.inf
        found = np.argpartition(block, -k, axis=1)[:, -k:]
        values = np.take_along_axis(block, found, axis=1)
        order = np.lexsort((found, -values), axis=1)
        positions[start : start + BLOCK] = np.take_along_axis(found, order, axis=1)
        similarities[start : start + BLOCK] = np.take_along_axis(values, order, axis=1)
        yield min(1.0, (start + BLOCK) / len(unit))
    return positions, similarities
