from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from pt4al_backend.demo.images import label_config, read_folder, write_digits
from pt4al_backend.errors import PT4ALError


def test_digits_are_written_once_and_can_be_read(tmp_path: Path) -> None:
    folder = write_digits(tmp_path / "images")
    assert folder.root == tmp_path / "images" / "digits"
    assert len(folder.images) == 1797
    assert folder.classes == tuple("0123456789")
    for image in folder.images[::300]:
        with Image.open(image.path) as opened:
            assert opened.size == (256, 256)
            darkest, brightest = opened.getextrema()
            assert (darkest < 60, brightest) == (True, 255)  # ink on paper, not a grey blur
            assert 0.02 < sum(opened.histogram()[60:200]) / 256**2 < 0.25  # edges
    folder.images[0].path.unlink()
    assert len(write_digits(tmp_path / "images").images) == 1796


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(path)


def test_directories_are_the_classes(tmp_path: Path) -> None:
    root = tmp_path / "my pets"
    for name in ("cat/1 ä#.PNG", "cat/deeper/2.jpg", "dog/3.webp", ".hidden/4.png"):
        _picture(root / name)
    (root / "dog" / "notes.txt").touch()
    (root / "empty").mkdir()
    folder = read_folder(root, tmp_path / "images")
    assert folder.classes == ("cat", "dog")
    assert folder.title == "my pets"
    link = folder.root.name
    assert re.fullmatch(r"my-pets-[0-9a-f]{6}", link)
    assert [folder.url(image) for image in folder.images] == [
        f"/data/local-files/?d={link}/cat/1%20%C3%A4%23.PNG",
        f"/data/local-files/?d={link}/cat/deeper/2.jpg",
        f"/data/local-files/?d={link}/dog/3.webp",
    ]
    assert all(image.path.is_file() for image in folder.images)
    assert read_folder(root, tmp_path / "images") == folder


def test_sets_of_one_name_stand_side_by_side(tmp_path: Path) -> None:
    for place in ("mine", "yours"):
        _picture(tmp_path / place / "pets" / "cat" / "1.png")
        _picture(tmp_path / place / "pets" / "dog" / f"{place}.png")
    mine, yours = (read_folder(tmp_path / place / "pets", tmp_path / "images") for place in ("mine", "yours"))
    assert mine.root.parent == yours.root.parent == tmp_path / "images"
    assert set(mine.truth).isdisjoint(yours.truth)
    assert yours.images[-1].path.name == "yours.png"


def test_the_order_depends_on_the_seed(tmp_path: Path) -> None:
    for number in range(20):
        _picture(tmp_path / "pets" / ("cat", "dog")[number % 2] / f"{number}.png")
    folder = read_folder(tmp_path / "pets", tmp_path / "images")
    assert folder.shuffled(seed=0) == folder.shuffled(seed=0) != folder.shuffled(seed=1)
    assert set(folder.shuffled(seed=0)) == set(folder.images)


def test_a_wrong_layout_is_reported(tmp_path: Path) -> None:
    root, document_root = tmp_path / "pets", tmp_path / "images"
    with pytest.raises(PT4ALError, match="is not a directory"):
        read_folder(root, document_root)
    _picture(root / "loose.png")
    with pytest.raises(PT4ALError, match="no directories with images"):
        read_folder(root, document_root)
    _picture(root / "cat" / "1.png")
    with pytest.raises(PT4ALError, match="images of only one class"):
        read_folder(root, document_root)


def test_class_names_are_escaped() -> None:
    names = ['<"a">', "b & c"]
    choices = ElementTree.fromstring(label_config(names)).iter("Choice")
    assert [choice.get("value") for choice in choices] == names


def test_each_digit_is_chosen_with_its_key() -> None:
    choices = ElementTree.fromstring(label_config("0123456789")).iter("Choice")
    assert all(choice.get("hotkey") == choice.get("value") for choice in choices)
