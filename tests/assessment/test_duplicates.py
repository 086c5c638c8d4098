"""Groups of near-duplicates, and which of each is asked."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from support.known_labels import DIGITS
from support.networks import finish

from pt4al_backend.assessment.duplicates import FEWEST, Positions, asked, members, near_duplicates, placed

SIDE, N = 40, 260


def scene(rng: np.random.Generator) -> np.ndarray:
    """A picture (48, 48, 3) with detail."""
    values = gaussian_filter(rng.normal(size=(48, 48, 3)), (4, 4, 0))
    return np.clip(127 + 60 * values / values.std(), 0, 255)


def cut(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A part of it, a little brighter or darker, with noise."""
    top, left = rng.integers(2, 6, 2)
    part = picture[top : top + SIDE, left : left + SIDE] * rng.uniform(0.9, 1.1)
    return np.clip(part + rng.normal(0, 4, part.shape), 0, 255).astype(np.uint8)


def groups(middle: Positions) -> list[list[int]]:
    grouped = members(middle)
    return sorted(grouped[middle[grouped] == each].tolist() for each in np.unique(middle[grouped]))


@pytest.mark.parametrize("n", [N, FEWEST - 50])
def test_parts_of_a_picture_are_a_group_where_there_are_enough_images_to_tell(n: int) -> None:
    rng = np.random.default_rng(0)
    pictures, embeddings = [scene(rng) for _ in range(n)], rng.normal(size=(n, 64)).astype(np.float32)
    for copy, original in ((10, 3), (11, 3), (50, 20)):
        pictures[copy] = pictures[original]
        embeddings[copy] = embeddings[original] + 0.2 * rng.normal(size=64)
    pixels = np.stack([cut(picture, rng) for picture in pictures])
    seen = list(near_duplicates(embeddings, pixels.__getitem__))
    found = groups(finish(near_duplicates(embeddings, pixels.__getitem__)))
    assert found == ([[3, 10, 11], [20, 50]] if n >= FEWEST else [])
    assert np.all(np.diff(seen) > -1e-9) and all(0 <= done <= 1 for done in seen)


def test_in_a_pool_where_unlike_images_match_only_exact_copies_are_a_group() -> None:
    images = DIGITS.images[:300]
    grey = np.kron(images, np.ones((4, 4))).astype(np.uint8) * 15
    pixels = np.repeat(gaussian_filter(grey, (0, 2, 2))[..., None], 3, axis=3)
    embeddings = images.reshape(300, -1).astype(np.float32)
    pixels[299], embeddings[299] = pixels[0], embeddings[0]
    assert groups(finish(near_duplicates(embeddings, pixels.__getitem__))) == [[0, 299]]


def test_groups_are_kept_when_images_go_or_come() -> None:
    tasks, middles = np.array([5, 8, 12, 20, 21]), np.array([8, 8, 8, 20, 20])
    assert placed(np.array([5, 7, 8, 12, 20, 21, 30]), tasks, middles).tolist() == [2, 1, 2, 2, 4, 4, 6]
    assert placed(np.array([5, 7, 12, 21]), tasks, middles).tolist() == [0, 1, 0, 3]  # without both middles
    assert placed(np.array([1, 2]), tasks[:0], middles[:0]).tolist() == [0, 1]


def test_images_with_the_same_embedding_are_a_group() -> None:
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(40, 64)).astype(np.float32)
    pixels = rng.integers(0, 255, (40, 32, 32, 3)).astype(np.uint8)
    embeddings[[7, 9]], pixels[[7, 9]] = embeddings[3], pixels[3]
    middle = finish(near_duplicates(embeddings, lambda positions: pixels[positions]))
    assert len(set(middle[[3, 7, 9]].tolist())) == 1
    alone = np.setdiff1d(np.arange(40), [3, 7, 9])
    assert (middle[alone] == alone).all()


def test_one_of_a_group_is_asked() -> None:
    middle = np.array([0, 0, 0, 3, 4, 4])
    nothing = np.zeros(6, dtype=bool)
    assert asked(middle, labelled=nothing, skipped=nothing).waits.tolist() == [False, True, True, False, False, True]
    labelled = np.array([False, True, False, False, False, False])
    with_label = asked(middle, labelled=labelled, skipped=nothing)
    assert with_label.instead[:3].tolist() == [1, 1, 1]
    assert with_label.waits.tolist() == [True, False, True, False, False, True]
    skipped = np.array([True, False, False, False, False, False])
    assert asked(middle, labelled=nothing, skipped=skipped).instead[:3].tolist() == [1, 1, 1]
