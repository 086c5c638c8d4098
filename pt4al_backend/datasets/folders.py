"""A directory of images per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pt4al_backend.datasets.known_images import LabelledImages, digest_of
from pt4al_backend.datasets.other_formats import IMAGES
from pt4al_backend.errors import PT4ALError, UnreadableImageError


def files_by_class(root: Path) -> list[tuple[Path, str]]:
    """Image files below `root`, whose directories are the classes, with the class of each; sorted.

    Raises:
        PT4ALError: there are no such directories.
    """
    if not root.is_dir():
        raise PT4ALError(f"{root} is not a directory: name one that holds a directory per class.")
    files = [
        (path, directory.name)
        for directory in sorted(root.iterdir())
        if directory.is_dir() and not directory.name.startswith(".")
        for path in sorted(directory.rglob("*"))
        if path.suffix.lower() in IMAGES and path.is_file()
    ]
    classes = {label for _, label in files}
    if len(classes) < 2:
        raise PT4ALError(
            f"{root} holds {'images of only one class' if classes else 'no directories with images'}: name a directory "
            "that holds a directory per class, like animals/cat/1.jpg and animals/dog/2.jpg."
        )
    return files


def read_folder(root: Path) -> LabelledImages:
    """The images below `root`, whose directories are the classes."""
    root = root.expanduser().resolve()
    files = files_by_class(root)
    classes = tuple(dict.fromkeys(label for _, label in files))
    number = {label: k for k, label in enumerate(classes)}
    targets = np.array([number[label] for _, label in files], dtype=np.int64)
    sizes = [(path.relative_to(root).as_posix(), path.stat().st_size) for path, _ in files]
    return LabelledImages(
        classes,
        targets,
        lambda position: _content(files[position][0]),
        digest_of(sizes),
        lambda position: str(files[position][0]),
    )


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"{path} cannot be read: {error.strerror}.") from None
