"""Images whose classes are known: what the demo shows and simulations are answered from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.errors import PT4ALError

ENDINGS = frozenset([".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"])


@dataclass(frozen=True)
class LabelledImages:
    """``n`` images, each of one class."""

    classes: tuple[str, ...]
    targets: NDArray[np.int64]
    """(n,): which of ``classes``."""
    read: Callable[[int], bytes]
    """The image file at a position. Thread-safe. May raise ``UnreadableImageError``."""

    def __len__(self) -> int:
        return len(self.targets)

    def take(self, positions: NDArray[np.integer]) -> LabelledImages:
        """Only the images at ``positions``, in that order."""
        read = self.read
        return replace(self, targets=self.targets[positions], read=lambda position: read(int(positions[position])))

    def with_classes(self, classes: tuple[str, ...]) -> LabelledImages:
        """The same images, their classes counted as in ``classes``.

        Raises:
            PT4ALError: an image is of none of these.
        """
        strange = sorted(set(self.classes) - set(classes))
        if strange:
            raise PT4ALError(
                f"The test images have classes that the others do not have: {', '.join(strange[:5])}. "
                "Use the same directory names in both."
            )
        number = np.array([classes.index(name) for name in self.classes], dtype=np.int64)
        return replace(self, classes=classes, targets=number[self.targets])

    def split(self, share: float, *, seed: int) -> tuple[LabelledImages, LabelledImages]:
        """Two parts: the rest, and about ``share`` of each class (one image at least, if it has two)."""
        random = np.random.default_rng(seed)
        held_out = np.zeros(len(self), dtype=bool)
        for target in range(len(self.classes)):
            members = random.permutation(np.flatnonzero(self.targets == target))
            held_out[members[: min(max(1, round(share * len(members))), len(members) - 1)]] = True
        return self.take(np.flatnonzero(~held_out)), self.take(np.flatnonzero(held_out))


def files_by_class(root: Path) -> list[tuple[Path, str]]:
    """Image files below ``root``, whose directories are the classes, with the class of each; sorted.

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
        if path.suffix.lower() in ENDINGS and path.is_file()
    ]
    classes = {label for _, label in files}
    if len(classes) < 2:
        raise PT4ALError(
            f"{root} holds {'images of only one class' if classes else 'no directories with images'}: name a directory "
            "that holds a directory per class, like animals/cat/1.jpg and animals/dog/2.jpg."
        )
    return files


def read_folder(root: Path) -> LabelledImages:
    """The images below ``root``, whose directories are the classes."""
    files = files_by_class(root.expanduser().resolve())
    classes = tuple(dict.fromkeys(label for _, label in files))
    number = {label: k for k, label in enumerate(classes)}
    targets = np.array([number[label] for _, label in files], dtype=np.int64)
    return LabelledImages(classes, targets, lambda position: files[position][0].read_bytes())
