"""Images whose classes, or whose pixels' classes, are known: read from directories, taken and split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.coloured_shapes import png

from pt4al_backend.datasets.folders import files_by_class, read_folder
from pt4al_backend.datasets.known_images import LabelledImages, SegmentedImages
from pt4al_backend.datasets.mask_folders import read_masks
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


def write_mask(root: Path, name: str, *rows: list[int]) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(png(np.array(rows, dtype=np.uint8)))


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
    with pytest.raises(PT4ALError, match=r"other classes than the others: .* one classes\.txt"):
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


def test_masks_have_the_names_of_their_images(tmp_path: Path) -> None:
    write(tmp_path / "images", "a.jpg", "deep/b.PNG", "c.jpg", "a.txt")
    write_mask(tmp_path / "masks", "b.png", [0, 1], [2, 255])
    write_mask(tmp_path / "masks", "deep/a.PNG", [3, 0])
    write_mask(tmp_path / "masks", "d.png", [9])
    images = read_masks(tmp_path / "images", tmp_path / "masks")
    assert images.names == ("a", "b")
    assert contents(images) == [b"a.jpg", b"deep/b.PNG"]
    assert images.mask(0).tolist() == [[3, 0]]
    assert images.mask(1).tolist() == [[0, 1], [2, 255]]
    assert images.classes == ("0", "1", "2", "3")  # d shows nothing


@pytest.mark.parametrize("masks", [".", "masks"])
def test_masks_among_the_images_are_not_images(tmp_path: Path, masks: str) -> None:
    write(tmp_path, "a.jpg", "images/b.jpg")
    write_mask(tmp_path / masks, "a.png", [0, 1])
    write_mask(tmp_path / masks, "b.png", [1, 0])
    images = read_masks(tmp_path, tmp_path / masks)
    assert contents(images) == [b"a.jpg", b"images/b.jpg"]


def test_a_palette_is_of_class_numbers(tmp_path: Path) -> None:
    """As in Pascal VOC: colours stand for numbers."""
    write(tmp_path, "a.jpg")
    mask = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), mode="P")
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    (tmp_path / "masks").mkdir()
    mask.save(tmp_path / "masks" / "a.png")
    assert read_masks(tmp_path, tmp_path / "masks").mask(0).tolist() == [[0, 1, 2]]


def test_a_file_names_the_classes(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg")
    write_mask(tmp_path / "masks", "a.png", [1, 200])
    (tmp_path / "masks" / "classes.txt").write_text("sky\n straße \ncar\n\n", encoding="utf-8")
    assert read_masks(tmp_path, tmp_path / "masks").classes == ("sky", "straße", "car")


def test_masks_that_cannot_be_used_are_told(tmp_path: Path) -> None:
    masks = tmp_path / "masks"

    def told() -> str:
        with pytest.raises(PT4ALError) as error:
            read_masks(tmp_path / "images", masks)
        return str(error.value)

    assert told() == f"{masks} is not a directory."
    masks.mkdir()
    assert "images is not a directory" in told()
    write(tmp_path / "images", "a.jpg")
    assert "No image in" in told() and "PNG files with the names of their images" in told()
    write_mask(masks, "a.png", [0, 255])  # black and white, as many are
    assert "are of 1 class: 2 to 255 can be learnt" in told() and "255 is for what is not labelled" in told()
    write_mask(masks, "a.png", [255, 255])
    assert "are of 0 classes" in told()

    names = masks / "classes.txt"
    names.write_text("sky\nroad\n")
    assert told() == f"No pixel of the masks in {masks} is of a class that {names} names."
    (masks / "a.png").write_bytes(png(np.zeros((2, 2, 3), dtype=np.uint8)))
    assert told() == f"{masks / 'a.png'} is no mask: its pixels have to be class numbers from 0 to 255."
    whole = png(np.arange(100, dtype=np.uint8).reshape(10, 10))
    for torn in (b"", b"GIF89a", whole[:45], whole[:50] + b"?" * 8 + whole[58:], whole[:36] + b"\x05" + whole[37:]):
        (masks / "a.png").write_bytes(torn)
        assert f"{masks / 'a.png'} cannot be read as a PNG file" in told()
    write_mask(masks, "a.png", [0, 1])
    names.write_text("\n".join(map(str, range(256))))
    assert "are of 256 classes" in told()
    names.write_bytes(b"stra\xdfe\n")
    assert "classes.txt cannot be read as UTF-8 text" in told()
    names.unlink()
    write(tmp_path / "images", "deep/a.png")
    assert "have one name, by which masks are found: rename one" in told()
