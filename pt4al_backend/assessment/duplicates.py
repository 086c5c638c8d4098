"""Groups of near-duplicates, and which image of each is asked for.

Near-duplicates are what one picture becomes by cropping, scaling, recompressing or relighting, and what the next
photograph or frame of the same scene shows. Pairs that may be are found by the cosine distance of whitened embeddings
and of whitened thumbnails together: what all images of a pool have in common does not count. Of these, the pictures are
laid over each other. A group is a star: all its images are near-duplicates of the one in its middle, so that the frames
of a video do not chain. `benchmarks/near_duplicates.py` compares this with simpler ways.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.assessment.neighbours import Neighbours, nearest
from pt4al_backend.assessment.principal_components import PrincipalComponents
from pt4al_backend.assessment.registration import likeness

Positions = NDArray[np.int64]
Pixels = Callable[[Positions], NDArray[np.uint8]]
"""Positions (k,) -> the images there (k, S, S, 3), RGB, S at least 32."""

OF_EMBEDDINGS, OF_THUMBNAILS = 192, 64
"""Principal components that are compared."""
THUMBNAIL = 8
"""Side of the thumbnails that are compared, too."""
GREYS = 32
"""Largest side of the pictures that are laid over each other; half of S if that is less."""
NEIGHBOURS = 50
"""Of each image, among which its near-duplicates are sought. The farther half says how dense its neighbourhood is."""
LEAST_EXCESS = 0.08
"""Similarity beyond what is usual in the neighbourhood, below which no picture is looked at."""
MOST_PAIRS = 3
"""Pairs per image of the pool that are looked at, at most: those with the largest excess."""
EXCESS_COUNTS = 1 / 6
"""Weight of the excess beside the likeness of the pictures."""
SAME = 0.99
"""Sum of both from which on two images are near-duplicates."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
FAINT = 8.0
"""Standard deviation, of 255, that is added to that of a thumbnail: one with little contrast is mostly noise."""
AT_ONCE = 1_000
"""Images whose pixels are in memory at a time."""


@dataclass(frozen=True)
class Asked:
    """What becomes of groups when labels are asked for."""

    instead: Positions
    """(n,) the image that is asked, or was labelled, for each one; itself if that is itself."""
    waits: NDArray[np.bool_]
    """(n,) True for images that need no label now, since another one of their group has it or gets it first."""


def near_duplicates(embeddings: NDArray[np.floating], pixels: Pixels) -> Positions:
    """Find the groups in a pool.

    The memory beside `embeddings` stays under 300 MB for 50,000 images. Copies with exactly the same embedding are
    found however many there are; of other groups, those of more than some 50 images are found in parts.

    Args:
        embeddings: (n, D), finite.
        pixels: reads the images of the pool.

    Returns:
        (n,) for each image the position of the one in the middle of its group, which is the most typical; its own if it
        has no near-duplicate.
    """
    first_of = _first_with_same_values(embeddings)
    distinct = np.unique(first_of)
    if len(distinct) < 2:
        return first_of
    if len(distinct) < len(embeddings):
        embeddings = embeddings[distinct]
    near = min(NEIGHBOURS, len(distinct) - 1)
    pairs, excess = similar_pairs(nearest(descriptors(embeddings, distinct, pixels), near))
    shown, places = np.unique(pairs, return_inverse=True)
    alike = likeness(_greys(distinct[shown], pixels), places.reshape(pairs.shape)) + EXCESS_COUNTS * excess
    middle = stars(len(distinct), pairs[alike >= SAME], alike[alike >= SAME])
    return distinct[middle][np.searchsorted(distinct, first_of)]


def asked(middle: Positions, *, labelled: NDArray[np.bool_], skipped: NDArray[np.bool_]) -> Asked:
    """Choose the image of each group that is asked: a labelled one, else the middle, else the first that is open.

    Args:
        middle: (n,) as `near_duplicates` returns it.
        labelled: (n,) True for images that have a label.
        skipped: (n,) True for those that nobody is asked again.
    """
    n = len(middle)
    worth = np.where(labelled, 3, np.where(skipped, 0, np.where(middle == np.arange(n), 2, 1)))
    best_first = np.lexsort((np.arange(n), -worth, middle))
    groups, starts = np.unique(middle[best_first], return_index=True)
    instead = best_first[starts][np.searchsorted(groups, middle)]
    return Asked(instead, (instead != np.arange(n)) & ~labelled & ~skipped)


def _first_with_same_values(embeddings: NDArray[np.floating]) -> Positions:
    """(n,) the first position with the same values."""
    seen: dict[bytes, int] = {}
    digests = (hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest() for row in embeddings)
    return np.array([seen.setdefault(digest, position) for position, digest in enumerate(digests)], dtype=np.int64)


def descriptors(embeddings: NDArray[np.floating], positions: Positions, pixels: Pixels) -> NDArray[np.float32]:
    """(n, d) of length 1: the embeddings and the thumbnails, of which either counts half."""
    thumbnails = np.concatenate([_thumbnails(part) for part in _parts(positions, pixels)])
    both = [
        PrincipalComponents.of(values, dimensions).whitened(values)
        for values, dimensions in ((embeddings, OF_EMBEDDINGS), (thumbnails, OF_THUMBNAILS))
    ]
    return np.concatenate(both, axis=1) * np.float32(0.5**0.5)


def similar_pairs(neighbours: Neighbours) -> tuple[Positions, NDArray[np.float32]]:
    """Pairs (p, 2) of images that are much more similar than others around them, and (p,) by how much."""
    positions, similarities = neighbours
    n, k = positions.shape
    usual = similarities[:, k // 2 :].mean(axis=1) if k == NEIGHBOURS else np.zeros(n, dtype=np.float32)
    of = np.repeat(np.arange(n), k)
    near = positions.ravel()
    excess = similarities.ravel() - (usual[of] + usual[near]) / 2
    kept = np.flatnonzero(excess >= LEAST_EXCESS)
    ordered = np.sort(np.stack([of[kept], near[kept]], axis=1), axis=1)
    _, unique = np.unique(ordered[:, 0] * n + ordered[:, 1], return_index=True)
    best = unique[np.argsort(-excess[kept][unique], kind="stable")][: MOST_PAIRS * n]
    return ordered[best], excess[kept][best]


def stars(n: int, pairs: Positions, alike: NDArray[np.floating]) -> Positions:
    """(n,) the middle of each image's star: the image with the most partners takes those first that are still free."""
    one, other = np.concatenate([pairs, pairs[:, ::-1]]).T
    order = np.argsort(one, kind="stable")
    partners = np.split(other[order], np.searchsorted(one[order], np.arange(1, n)))
    count, sums = np.bincount(one, minlength=n), np.bincount(one, np.concatenate([alike, alike]), minlength=n)
    middle = np.full(n, -1, dtype=np.int64)
    for image in np.lexsort((-sums, -count)).tolist():
        if middle[image] < 0:
            middle[image] = image
            free = partners[image][middle[partners[image]] < 0]
            middle[free] = image
    return middle


def _thumbnails(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(k, THUMBNAIL * THUMBNAIL * 3), all of the same mean and of about the same contrast."""
    values = _scaled(images.astype(np.float32), THUMBNAIL).reshape(len(images), -1)
    values -= values.mean(axis=1, keepdims=True)
    return values / (values.std(axis=1, keepdims=True) + FAINT)


def _greys(positions: Positions, pixels: Pixels) -> NDArray[np.uint8]:
    """(k, s, s) small grey pictures."""
    parts = [
        _scaled(images @ LUMA, min(GREYS, images.shape[1] // 2)).round().astype(np.uint8)
        for images in _parts(positions, pixels)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, GREYS, GREYS), dtype=np.uint8)


def _scaled(images: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Images (k, S, S, ...) scaled to (k, side, side, ...), each pixel the mean of what it covers."""
    size = images.shape[1]
    edges = np.arange(side + 1) * (size / side)
    covered = np.minimum(edges[1:, None], np.arange(1, size + 1)) - np.maximum(edges[:-1, None], np.arange(size))
    means = (np.maximum(covered, 0) * (side / size)).astype(np.float32)
    return np.einsum("ai,bj,kij...->kab...", means, means, images, optimize=True)


def _parts(positions: Positions, pixels: Pixels) -> Iterator[NDArray[np.uint8]]:
    """The images at these positions, some at a time."""
    for start in range(0, len(positions), AT_ONCE):
        yield pixels(positions[start : start + AT_ONCE])
