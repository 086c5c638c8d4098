"""Groups of near-duplicates, and which image of each is asked for.

Near-duplicates are what one picture becomes by cropping, scaling, recompressing or relighting, and what the next
photograph or frame of the same scene shows. Pairs that may be are found by the cosine distance of whitened embeddings
and of whitened thumbnails together: what all images of a pool have in common does not count. Of these, the pictures are
laid over each other. A group is a star: all its images are near-duplicates of the one in its middle, so that the frames
of a video do not chain. `benchmarks/near_duplicates.py` compares this with simpler ways.

In some pools even different things match once they are laid over each other: handwritten digits, for example. Where
images match that are not even among the nearest ones, only copies with exactly the same embedding are grouped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.assessment.neighbours import Neighbours, search_nearest
from pt4al_backend.assessment.principal_components import PrincipalComponents
from pt4al_backend.assessment.registration import likeness

T = TypeVar("T")
Positions = NDArray[np.int64]
Pixels = Callable[[Positions], NDArray[np.uint8]]
"""Positions (k,) -> the images there (k, S, S, 3), RGB, S at least 32."""

OF_EMBEDDINGS, OF_THUMBNAILS = 192, 64
"""Principal components that are compared."""
THUMBNAIL = 8
"""Side of the thumbnails that are compared, too."""
GREYS = 32
"""Largest side of the pictures that are laid over each other; half of S if that is less."""
LEAST_SIDE = 32
"""S below which pictures are too small to be laid over each other."""
FEWEST = 200
"""Images below which nobody can say what is usual in a neighbourhood."""
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
MATCHING = 0.9, 0.005
"""Likeness of far neighbours, and the part of them that has it, beyond which likeness says nothing in a pool."""
SAMPLE = 200, 5
"""Images, and far neighbours of each, that this is judged by."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
FAINT = 8.0
"""Standard deviation, of 255, that is added to that of a thumbnail: one with little contrast is mostly noise."""
AT_ONCE = 250
"""Images whose pixels are read, and pairs whose pictures are laid over each other, between two reports of progress."""
SHARES = 0.15, 0.45
"""Of the work, once the descriptors are there, and once the neighbours are: the pictures take the rest."""


@dataclass(frozen=True)
class Asked:
    """What becomes of groups when labels are asked for."""

    instead: Positions
    """(n,) the image that is asked, or was labelled, for each one; itself if that is itself."""
    waits: NDArray[np.bool_]
    """(n,) True for images that need no label now, since another one of their group has it or gets it first."""


def near_duplicates(embeddings: NDArray[np.floating], pixels: Pixels) -> Generator[float, None, Positions]:
    """Find the groups in a pool, step by step.

    The memory beside `embeddings` stays under 300 MB for 50,000 images. Copies with exactly the same embedding are
    found however many there are; of other groups, those of more than some 50 images are found in parts.

    Args:
        embeddings: (n, D), finite.
        pixels: reads the images of the pool. Where they are small, or few, only copies with exactly the same
            embedding are found.

    Yields:
        Which part of the work is done, 0 to 1.

    Returns:
        (n,) for each image the position of the one in the middle of its group, which is the most typical; its own if it
        has no near-duplicate.
    """
    first_of = _first_with_same_values(embeddings)
    distinct = np.unique(first_of)
    if len(distinct) < FEWEST or pixels(distinct[:1]).shape[1] < LEAST_SIDE:
        return first_of
    if len(distinct) < len(embeddings):
        embeddings = embeddings[distinct]
    unit = yield from _between(0.0, SHARES[0], descriptors(embeddings, distinct, pixels))
    neighbours = yield from _between(*SHARES, search_nearest(unit, NEIGHBOURS))
    far = yield from _between(SHARES[1], SHARES[1], _likeness(_far_pairs(neighbours), distinct, pixels))
    if (far >= MATCHING[0]).mean() > MATCHING[1]:
        return first_of
    pairs, excess = similar_pairs(neighbours)
    alike = (yield from _between(SHARES[1], 1.0, _likeness(pairs, distinct, pixels))) + EXCESS_COUNTS * excess
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


def members(middle: Positions) -> Positions:
    """The positions of images that have a near-duplicate."""
    return np.flatnonzero(np.bincount(middle, minlength=len(middle))[middle] > 1)


def placed(tasks: Positions, group_tasks: Positions, group_middles: Positions) -> Positions:
    """The groups of a pool from which images may have gone since they were found, or to which others were added.

    Args:
        tasks: (n,) ids of the pool's images, ascending.
        group_tasks: (m,) ids of the images that had a near-duplicate.
        group_middles: (m,) the id of the one in the middle of each one's group.

    Returns:
        (n,) as `near_duplicates`; where the middle is gone, the first image that is left stands for it.
    """
    middle = np.arange(len(tasks))
    here = np.isin(group_tasks, tasks)
    left, groups = group_tasks[here], group_middles[here]
    names, first = np.unique(groups, return_index=True)
    instead = left[first][np.searchsorted(names, groups)]
    middle[np.searchsorted(tasks, left)] = np.searchsorted(tasks, np.where(np.isin(groups, tasks), groups, instead))
    return middle


def _first_with_same_values(embeddings: NDArray[np.floating]) -> Positions:
    """(n,) the first position with the same values."""
    seen: dict[bytes, int] = {}
    digests = (hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=16).digest() for row in embeddings)
    return np.array([seen.setdefault(digest, position) for position, digest in enumerate(digests)], dtype=np.int64)


def descriptors(
    embeddings: NDArray[np.floating], positions: Positions, pixels: Pixels
) -> Generator[float, None, NDArray[np.float32]]:
    """(n, d) of length 1: embeddings and thumbnails, of which either counts half. Yields as `near_duplicates`."""
    thumbnails = np.empty((len(positions), THUMBNAIL * THUMBNAIL * 3), dtype=np.float32)
    for start, images in _parts(positions, pixels):
        thumbnails[start : start + len(images)] = _thumbnails(images)
        yield start / len(positions)
    both = [
        PrincipalComponents.of(values, dimensions).whitened(values)
        for values, dimensions in ((embeddings, OF_EMBEDDINGS), (thumbnails, OF_THUMBNAILS))
    ]
    return np.concatenate(both, axis=1) * np.float32(0.5**0.5)


def _far_pairs(neighbours: Neighbours) -> Positions:
    """Pairs (p, 2) of images and neighbours that are not among the nearest, evenly spaced."""
    n, k = neighbours[0].shape
    images, ranks = (
        np.linspace(*ends).astype(np.int64) for ends in ((0, n - 1, SAMPLE[0]), (k // 2, k - 1, SAMPLE[1]))
    )
    return np.stack([np.repeat(images, SAMPLE[1]), neighbours[0][images[:, None], ranks].ravel()], axis=1)


def _likeness(pairs: Positions, distinct: Positions, pixels: Pixels) -> Generator[float, None, NDArray[np.float32]]:
    """(p,) how alike the pictures of pairs (p, 2) are, of positions in `distinct`; yields as `near_duplicates`."""
    shown, places = np.unique(pairs, return_inverse=True)
    places = places.reshape(pairs.shape)
    greys, alike = [], np.zeros(len(pairs), dtype=np.float32)
    for start, images in _parts(distinct[shown], pixels):
        greys.append(_grey(images))
        yield 0.1 * start / len(shown)
    pictures = np.concatenate(greys) if greys else np.zeros((0, GREYS, GREYS), dtype=np.uint8)
    for start in range(0, len(pairs), AT_ONCE):
        alike[start : start + AT_ONCE] = likeness(pictures, places[start : start + AT_ONCE])
        yield 0.1 + 0.9 * start / len(pairs)
    return alike


def _between(low: float, high: float, work: Generator[float, None, T]) -> Generator[float, None, T]:
    """Pass on the progress of a part of the work, and return its result."""
    while True:
        try:
            done = next(work)
        except StopIteration as end:
            result: T = end.value
            return result
        yield low + (high - low) * done


def similar_pairs(neighbours: Neighbours) -> tuple[Positions, NDArray[np.float32]]:
    """Pairs (p, 2) of images that are much more similar than others around them, and (p,) by how much."""
    positions, similarities = neighbours
    n, k = positions.shape
    usual = similarities[:, k // 2 :].mean(axis=1)
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


def _grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(k, s, s) small grey pictures."""
    return _scaled(images @ LUMA, min(GREYS, images.shape[1] // 2)).round().astype(np.uint8)


def _scaled(images: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Images (k, S, S, ...) scaled to (k, side, side, ...), each pixel the mean of what it covers."""
    size = images.shape[1]
    edges = np.arange(side + 1) * (size / side)
    covered = np.minimum(edges[1:, None], np.arange(1, size + 1)) - np.maximum(edges[:-1, None], np.arange(size))
    means = (np.maximum(covered, 0) * (side / size)).astype(np.float32)
    return np.einsum("ai,bj,kij...->kab...", means, means, images, optimize=True)


def _parts(positions: Positions, pixels: Pixels) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """The images at these positions, some at a time, and where each part starts."""
    for start in range(0, len(positions), AT_ONCE):
        yield start, pixels(positions[start : start + AT_ONCE])
