"""Images whose classes are known: read from directories, taken and split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelled_images import LabelledImages, files_by_class, read_folder


def numbered(*counts: int) -> LabelledImages:
    """So many images of each class, whose bytes are their positions."""
    targets = np.repeat(np.arange(len(counts)), counts)
    return LabelledImages(tuple("abcdef"[: len(counts)]), targets, lambda position: str(position).encode())


def contents(images: LabelledImages) -> list[bytes]:
    return [images.read(position) for position in range(len(images))]


def write(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())


def test_directories_are_the_classes(tmp_path: Path) -> None:
    write(tmp_path, "dog/3.webp", "cat/1 ä#.PNG", "cat/deeper/2.jpg", "dog/notes.txt", ".hidden/4.png", "loose.png")
    (tmp_path / "empty").mkdir()
    images = read_folder(tmp_path)
    assert images.classes == ("cat", "dog")
    assert images.targets.tolist() == [0, 0, 1]
    assert contents(images) == ["cat/1 ä#.PNG".encode(), b"cat/deeper/2.jpg", b"dog/3.webp"]
    assert [label for _, label in files_by_class(tmp_path)] == ["cat", "cat", "dog"]


def test_a_wrong_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match="is not a directory"):
        read_folder(tmp_path / "none")
    write(tmp_path, "loose.png")
    with pytest.raises(PT4ALError, match="no directories with images"):
        read_folder(tmp_path)
    write(tmp_path, "cat/1.png")
    with pytest.raises(PT4ALError, match="images of only one class"):
        read_folder(tmp_path)


def test_what_is_taken_can_be_taken_from() -> None:
    images = numbered(3, 3).take(np.array([5, 0, 3, 1])).take(np.array([2, 0]))
    assert len(images) == 2
    assert images.targets.tolist() == [1, 1]
    assert contents(images) == [b"3", b"5"]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 0.5, 1.0])
def test_a_split_leaves_an_image_of_each_class_on_both_sides(share: float) -> None:
    rest, held_out = numbered(40, 2, 1, 0, 10).split(share, seed=0)
    assert sorted(map(int, contents(rest) + contents(held_out))) == list(range(53))
    left, held = (np.bincount(part.targets, minlength=5) for part in (rest, held_out))
    assert held.tolist() == [min(max(1, round(share * 40)), 39), 1, 0, 0, min(max(1, round(share * 10)), 9)]
    assert left[[0, 1, 4]].min() >= 1
    assert left[2] == 1  # the only one of its class is learnt from
    assert rest.classes == held_out.classes == tuple("abcde")


def test_a_split_is_the_seeds() -> None:
    images = numbered(50, 50)
    first, again, other = (contents(images.split(0.2, seed=seed)[1]) for seed in (1, 1, 2))
    assert first == again != other
