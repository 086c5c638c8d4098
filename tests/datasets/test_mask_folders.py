"""Images with masks, both in directories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.coloured_shapes import png
from support.files import write_names

from pt4al_backend.datasets.mask_folders import read_masks
from pt4al_backend.errors import PT4ALError


def write_mask(root: Path, name: str, *rows: list[int]) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(png(np.array(rows, dtype=np.uint8)))


def test_masks_have_the_names_of_their_images(tmp_path: Path) -> None:
    write_names(tmp_path / "images", "a.jpg", "deep/b.PNG", "c.jpg", "a.txt")
    write_mask(tmp_path / "masks", "b.png", [0, 1], [2, 255])
    write_mask(tmp_path / "masks", "deep/a.PNG", [3, 0])
    write_mask(tmp_path / "masks", "d.png", [9])
    images = read_masks(tmp_path / "images", tmp_path / "masks")
    assert images.names == ("a", "b")
    assert [images.read(position) for position in range(len(images))] == [b"a.jpg", b"deep/b.PNG"]
    assert images.mask(0).tolist() == [[3, 0]]
    assert images.mask(1).tolist() == [[0, 1], [2, 255]]
    assert images.classes == ("0", "1", "2", "3")  # d shows nothing


@pytest.mark.parametrize("masks", [".", "masks"])
def test_masks_among_the_images_are_not_images(tmp_path: Path, masks: str) -> None:
    write_names(tmp_path, "a.jpg", "images/b.jpg")
    write_mask(tmp_path / masks, "a.png", [0, 1])
    write_mask(tmp_path / masks, "b.png", [1, 0])
    images = read_masks(tmp_path, tmp_path / masks)
    assert [images.read(position) for position in range(len(images))] == [b"a.jpg", b"images/b.jpg"]


def test_a_palette_is_of_class_numbers(tmp_path: Path) -> None:
    """As in Pascal VOC: colours stand for numbers."""
    write_names(tmp_path, "a.jpg")
    mask = Image.fromarray(np.array([[0, 1, 2]], dtype=np.uint8), mode="P")
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    (tmp_path / "masks").mkdir()
    mask.save(tmp_path / "masks" / "a.png")
    assert read_masks(tmp_path, tmp_path / "masks").mask(0).tolist() == [[0, 1, 2]]


def test_a_file_names_the_classes(tmp_path: Path) -> None:
    write_names(tmp_path, "a.jpg")
    write_mask(tmp_path / "masks", "a.png", [1, 200])
    (tmp_path / "masks" / "classes.txt").write_text("sky\n straße \ncar\n\n", encoding="utf-8")
    assert read_masks(tmp_path, tmp_path / "masks").classes == ("sky", "straße", "car")


def test_masks_that_cannot_be_used_are_errors(tmp_path: Path) -> None:
    masks = tmp_path / "masks"

    def message() -> str:
        with pytest.raises(PT4ALError) as error:
            read_masks(tmp_path / "images", masks)
        return str(error.value)

    assert message() == f"{masks} is not a directory."
    masks.mkdir()
    assert "images is not a directory" in message()
    write_names(tmp_path / "images", "a.jpg")
    assert "No image in" in message() and "PNG files with the names of their images" in message()
    write_mask(masks, "a.png", [0, 255])  # black and white, as many are
    assert "have 1 class: 2 to 255 can be learned" in message() and "255 marks unlabelled pixels" in message()
    write_mask(masks, "a.png", [255, 255])
    assert "have 0 classes" in message()

    names = masks / "classes.txt"
    names.write_text("sky\nroad\n")
    assert message() == f"No pixel of the masks in {masks} has a class that {names} names."
    (masks / "a.png").write_bytes(png(np.zeros((2, 2, 3), dtype=np.uint8)))
    assert message() == f"{masks / 'a.png'} is not a mask: its pixels have to be class numbers from 0 to 255."
    whole = png(np.arange(100, dtype=np.uint8).reshape(10, 10))
    for torn in (b"", b"GIF89a", whole[:45], whole[:50] + b"?" * 8 + whole[58:], whole[:36] + b"\x05" + whole[37:]):
        (masks / "a.png").write_bytes(torn)
        assert f"{masks / 'a.png'} cannot be read as a PNG file" in message()
    write_mask(masks, "a.png", [0, 1])
    names.write_text("\n".join(map(str, range(256))))
    assert "have 256 classes" in message()
    names.write_bytes(b"stra\xdfe\n")
    assert "classes.txt cannot be read as UTF-8 text" in message()
    names.unlink()
    write_names(tmp_path / "images", "deep/a.png")
    assert "have the same name, but masks go by name: rename one" in message()
