"""Images in one directory per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pt4al_backend.datasets.known_images import LabelledImages, digest_of
from pt4al_backend.datasets.other_formats import IMAGES
from pt4al_backend.errors import PT4ALError, UnreadableImageError


def files_by_class(root: Path) -> list[tuple[Path, str]]:
    """The image files below `root` with their classes, the names of its directories; sorted.

    Raises:
        PT4ALError: fewer than two directories contain images.
    """
    if not root.is_dir():
        raise PT4ALError(f"{root} is not a directory: name one that contains a directory per class.")
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
            f"{root} contains {'images of only one class' if classes else 'no directories with images'}: name a "
            "directory that contains a directory per class, like animals/cat/1.jpg and animals/dog/2.jpg."
        )
    return files


def read_folder(root: Path) -> LabelledImages:
    """The images below `root`, with the names of its directories as classes. Raises as `files_by_class` does."""
    root = root.expanduser().resolve()
    files = files_by_class(root)
    classes = tuple(dict.fromkeys(label for _, label in files))
    number = {label: k for k, label in enumerate(classes)}
    targets = np.array([number[label] for _, label in files], dtype=np.int64)
    sizes = [(path.relative_to(root).as_posix(), path.stat().st_size) for path, _ in files]
    return LabelledImages(
        classes,
        targets,
        lambda position: content_of(files[position][0]),
        digest_of(sizes),
        lambda position: str(files[position][0]),
    )


def content_of(path: Path) -> bytes:
    """The bytes of an image file. `UnreadableImageError` if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"{path} cannot be read: {error.strerror}.") from None
