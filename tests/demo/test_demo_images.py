from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from pt4al_backend.demo.images import label_config, read_folder, write_digits
from pt4al_backend.errors import PT4ALError


def test_digits_are_written_once(tmp_path: Path) -> None:
    folder = write_digits(tmp_path / "images" / "digits")
    assert len(folder.images) == 1797
    assert folder.classes == tuple("0123456789")
    with Image.open(folder.images[0].path) as image:
        assert image.size == (32, 32)
    folder.images[0].path.unlink()
    assert len(write_digits(folder.root).images) == 1796


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (2, 2)).save(path)


def test_directories_are_the_classes(tmp_path: Path) -> None:
    root = tmp_path / "pets"
    for name in ("cat/1 ä#.PNG", "cat/deeper/2.jpg", "dog/3.webp", ".hidden/4.png"):
        _picture(root / name)
    (root / "dog" / "notes.txt").touch()
    (root / "empty").mkdir()
    folder = read_folder(root)
    assert folder.classes == ("cat", "dog")
    assert [folder.url(image) for image in folder.images] == [
        "/data/local-files/?d=pets/cat/1%20%C3%A4%23.PNG",
        "/data/local-files/?d=pets/cat/deeper/2.jpg",
        "/data/local-files/?d=pets/dog/3.webp",
    ]
    assert folder.sample(2, seed=0) == folder.sample(2, seed=0)
    assert sorted(map(folder.url, folder.sample(None, seed=1))) == sorted(map(folder.url, folder.images))


def test_a_wrong_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match="is not a directory"):
        read_folder(tmp_path / "none")
    _picture(tmp_path / "loose.png")
    with pytest.raises(PT4ALError, match="no directories with images"):
        read_folder(tmp_path)
    _picture(tmp_path / "cat" / "1.png")
    with pytest.raises(PT4ALError, match="images of only one class"):
        read_folder(tmp_path)


def test_class_names_are_escaped() -> None:
    names = ['<"a">', "b & c"]
    choices = ElementTree.fromstring(label_config(names)).iter("Choice")
    assert [choice.get("value") for choice in choices] == names


def test_digits_are_chosen_by_their_own_keys() -> None:
    choices = ElementTree.fromstring(label_config("0123456789")).iter("Choice")
    assert all(choice.get("hotkey") == choice.get("value") for choice in choices)
