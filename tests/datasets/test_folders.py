"""Images in one directory per class."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.files import write_names

from pt4al_backend.datasets.folders import files_by_class, read_folder
from pt4al_backend.errors import PT4ALError, UnreadableImageError


def test_directories_are_the_classes(tmp_path: Path) -> None:
    write_names(
        tmp_path, "dog/3.webp", "cat/1 ä#.PNG", "cat/deeper/2.jpg", "dog/notes.txt", ".hidden/4.png", "loose.png"
    )
    (tmp_path / "empty").mkdir()
    images = read_folder(tmp_path)
    assert images.classes == ("cat", "dog")
    assert images.targets.tolist() == [0, 0, 1]
    assert [images.read(position) for position in range(len(images))] == [
        "cat/1 ä#.PNG".encode(),
        b"cat/deeper/2.jpg",
        b"dog/3.webp",
    ]
    assert [label for _, label in files_by_class(tmp_path)] == ["cat", "cat", "dog"]


def test_a_wrong_layout_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match="is not a directory"):
        read_folder(tmp_path / "none")
    write_names(tmp_path, "loose.png")
    with pytest.raises(PT4ALError, match="no directories with images"):
        read_folder(tmp_path)
    write_names(tmp_path, "cat/1.png")
    with pytest.raises(PT4ALError, match="images of only one class"):
        read_folder(tmp_path)


def test_a_file_that_goes_is_one_unreadable_image(tmp_path: Path) -> None:
    write_names(tmp_path, "cat/1.png", "dog/2.png")
    images = read_folder(tmp_path)
    digest = images.digest
    (tmp_path / "cat/1.png").unlink()
    with pytest.raises(UnreadableImageError, match=r"cat/1\.png cannot be read: No such file"):
        images.read(0)
    assert (images.read(1), images.name(1)) == (b"dog/2.png", str(tmp_path / "dog/2.png"))
    write_names(tmp_path, "cat/3.png")
    assert read_folder(tmp_path).digest != digest
