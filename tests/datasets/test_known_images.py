"""Images whose classes, or whose pixels' classes, are known: read from directories, taken and split."""

from __future__ import annotations

import numpy as np
import pytest

from pt4al_backend.datasets.known_images import LabelledImages, SegmentedImages, mask_effort
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE


def numbered(*counts: int) -> LabelledImages:
    """So many images of each class, whose bytes are their positions."""
    targets = np.repeat(np.arange(len(counts)), counts)
    return LabelledImages(tuple("abcdef"[: len(counts)]), targets, lambda position: str(position).encode())


def contents(images: LabelledImages | SegmentedImages) -> list[bytes]:
    return [images.read(position) for position in range(len(images))]


def test_what_is_taken_can_be_taken_from() -> None:
    images = numbered(3, 3).take(np.array([5, 0, 3, 1])).take(np.array([2, 0]))
    assert len(images) == 2
    assert images.targets.tolist() == [1, 1]
    assert contents(images) == [b"3", b"5"]


def test_the_effort_of_classes_is_their_number_of_images() -> None:
    effort = numbered(3, 2, 4).effort(np.array([0, 1, 8]))
    assert effort == {"classes_labelled": 2, "labels_by_class": [2, 0, 1]}


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 1.0])
def test_a_split_leaves_an_image_of_each_class_on_both_sides(share: float) -> None:
    rest, held_out = numbered(40, 2, 1, 0, 10).split(share, seed=0)
    assert sorted(map(int, contents(rest) + contents(held_out))) == list(range(53))
    left, held = (np.bincount(part.targets, minlength=5) for part in (rest, held_out))
    assert held.tolist() == [min(max(1, round(share * 40)), 39), 1, 0, 0, min(max(1, round(share * 10)), 9)]
    assert left[[0, 1, 4]].min() >= 1
    assert left[2] == 1  # the only one of its class is learned from
    assert rest.classes == held_out.classes == tuple("abcde")


def test_a_split_is_the_seeds() -> None:
    images = numbered(50, 50)
    first, again, other = (contents(images.split(0.2, seed=seed)[1]) for seed in (1, 1, 2))
    assert first == again != other


def test_the_classes_are_the_answers() -> None:
    images = numbered(1, 2)
    assert images.question == Question("class", SINGLE, ("a", "b"))
    assert [images.answers(position) for position in range(3)] == [{"class": "a"}, {"class": "b"}, {"class": "b"}]


# Masks


def segmented(n: int) -> SegmentedImages:
    """So many images whose bytes, and whose masks' only pixel, are their positions."""
    names = tuple(map(str, range(n)))
    return SegmentedImages(
        ("a", "b"), names, lambda position: str(position).encode(), lambda position: np.full((1, 1), position, np.uint8)
    )


def test_masks_are_taken_with_their_images() -> None:
    images = segmented(6).take(np.array([5, 0, 3, 1])).take(np.array([2, 0]))
    assert len(images) == 2
    assert images.names == ("3", "5")
    assert contents(images) == [b"3", b"5"]
    assert [int(images.mask(position)[0, 0]) for position in range(2)] == [3, 5]
    assert images.answers(0) != images.answers(1)


def test_pixels_are_asked_about() -> None:
    assert segmented(3).question == Question("mask", SEGMENTATION, ("a", "b"))
    assert list(segmented(3).answers(1)) == ["mask"]
    assert segmented(3).with_classes(("a", "b")).names == ("0", "1", "2")
    with pytest.raises(PT4ALError, match=r"other classes than the training images: .* one classes\.txt"):
        segmented(3).with_classes(("b", "a"))


@pytest.mark.parametrize(
    ("n", "share", "held_out"), [(20, 0.2, 4), (20, 0.0, 1), (20, 1.0, 19), (2, 0.2, 1), (1, 0.2, 0)]
)
def test_a_split_of_masks_leaves_an_image_on_both_sides(n: int, share: float, held_out: int) -> None:
    rest, held = segmented(n).split(share, seed=0)
    assert sorted([*rest.names, *held.names]) == sorted(map(str, range(n)))
    assert (len(rest), len(held)) == (n - held_out, held_out)
    assert contents(held) == [name.encode() for name in held.names]
    assert segmented(n).split(share, seed=0)[1].names == held.names


@pytest.mark.parametrize(
    ("mask", "pixels", "borders"),
    [
        ([[0, 0], [0, 0]], 4, 0),
        ([[0, 1], [0, 1]], 4, 2),
        ([[0, 0, 0], [1, 1, 1], [1, 1, 1]], 9, 3),
        ([[255, 255], [255, 255]], 0, 0),
        ([[0, 0, 255]], 2, 0),
    ],
)
def test_the_effort_of_a_mask_by_hand(mask: list[list[int]], pixels: int, borders: int) -> None:
    assert mask_effort(np.array(mask, dtype=np.uint8), classes=2) == (pixels, borders)
