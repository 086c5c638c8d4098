"""Images whose answers are known: what the demo shows and simulations are answered from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.labelling.questions import SEGMENTATION, SINGLE, Answers, Question
from pt4al_backend.other_formats import IMAGES

UNKNOWN = 255
"""In a mask: not labelled."""


@dataclass(frozen=True)
class LabelledImages:
    """``n`` images, each of one class."""

    classes: tuple[str, ...]
    targets: NDArray[np.int64]
    """(n,): which of ``classes``."""
    read: Callable[[int], bytes]
    """The image file at a position. Thread-safe. May raise ``UnreadableImageError``."""
    files: str = ""
    """A digest of the files behind them, as far as they are known."""
    name: Callable[[int], str] = "image {}".format
    """What people know the image at a position by; "" where it has no name."""

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def digest(self) -> str:
        """Changes with the images and with what is true of them."""
        return digest_of(self.files, self.classes, self.targets.tolist())

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked about every image."""
        return (Question("class", SINGLE, self.classes),)

    def answers(self, position: int) -> Answers:
        """What is true of an image."""
        return {"class": self.classes[self.targets[position]]}

    def take(self, positions: NDArray[np.integer]) -> LabelledImages:
        """Only the images at ``positions``, in that order."""
        read, name = self.read, self.name
        return replace(
            self,
            targets=self.targets[positions],
            read=lambda position: read(int(positions[position])),
            name=lambda position: name(int(positions[position])),
            files=digest_of(self.files, positions.tolist()),
        )

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


@dataclass(frozen=True)
class SegmentedImages:
    """``n`` images, each with the class of every pixel."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    """(n,): what tells the images apart."""
    read: Callable[[int], bytes]
    """The image file at a position. Thread-safe. May raise ``UnreadableImageError``."""
    mask: Callable[[int], NDArray[np.uint8]]
    """The mask (height, width) at a position: class numbers; what is none of them is not known. Thread-safe."""
    files: str = ""
    """A digest of the files behind them, as far as they are known."""
    name: Callable[[int], str] = "image {}".format
    """What people know the image at a position by; "" where it has no name."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def digest(self) -> str:
        """Changes with the images and with what is true of them."""
        return digest_of(self.files, self.classes, self.names)

    @property
    def questions(self) -> tuple[Question, ...]:
        """What is asked about every image."""
        return (Question("mask", SEGMENTATION, self.classes),)

    def answers(self, position: int) -> Answers:
        """What is true of an image: one region, which ``mask`` has to draw."""
        return {"mask": [{"image": position}]}

    def take(self, positions: NDArray[np.integer]) -> SegmentedImages:
        """Only the images at ``positions``, in that order."""
        read, mask, name = self.read, self.mask, self.name
        return replace(
            self,
            names=tuple(self.names[position] for position in positions),
            read=lambda position: read(int(positions[position])),
            mask=lambda position: mask(int(positions[position])),
            name=lambda position: name(int(positions[position])),
            files=digest_of(self.files, positions.tolist()),
        )

    def with_classes(self, classes: tuple[str, ...]) -> SegmentedImages:
        """The same images. ``PT4ALError`` unless their classes are these."""
        if self.classes != classes:
            raise PT4ALError(
                "The test images have other classes than the others: annotate both with the same labels; "
                "for masks, use one classes.txt."
            )
        return self

    def split(self, share: float, *, seed: int) -> tuple[SegmentedImages, SegmentedImages]:
        """Two parts: the rest, and about ``share`` of the images (one at least, if there are two)."""
        shuffled = np.random.default_rng(seed).permutation(len(self))
        first = min(max(1, round(share * len(self))), len(self) - 1)
        return self.take(np.sort(shuffled[first:])), self.take(np.sort(shuffled[:first]))


KnownImages = LabelledImages | SegmentedImages


def digest_of(*parts: Any) -> str:
    """What stands for all of ``parts`` (JSON)."""
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()


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
        if path.suffix.lower() in IMAGES and path.is_file()
    ]
    classes = {label for _, label in files}
    if len(classes) < 2:
        raise PT4ALError(
            f"{root} holds {'images of only one class' if classes else 'no directories with images'}: name a directory "
            "that holds a directory per class, like animals/cat/1.jpg and animals/dog/2.jpg."
        )
    return files


def read_masks(root: Path, masks: Path) -> SegmentedImages:
    """The images in ``root`` that have a mask in ``masks``: a PNG of the same name, class numbers as its pixels.

    A file ``classes.txt`` beside the masks may name the classes, a line for each, from 0 up. Without it the numbers
    below 255 that occur in the masks are the classes.

    Raises:
        PT4ALError: there are no such images, or a mask is not what it should be.
    """
    paths = _by_name(path for path in sorted(_directory(masks).rglob("*")) if path.suffix.lower() == ".png")
    theirs = {path.resolve() for path in paths.values()}  # the masks may lie among the images
    files = _by_name(
        path
        for path in sorted(_directory(root).rglob("*"))
        if path.suffix.lower() in IMAGES and path.stem in paths and path.resolve() not in theirs
    )
    names = sorted(files)
    if not names:
        raise PT4ALError(
            f"No image in {root} has a mask in {masks}: give masks as PNG files with the names of their images."
        )

    def mask(position: int) -> NDArray[np.uint8]:
        path = paths[names[position]]
        try:
            with Image.open(path, formats=("PNG",)) as opened:
                if opened.mode not in ("L", "P"):
                    raise PT4ALError(f"{path} is no mask: its pixels have to be class numbers from 0 to 255.")
                return np.array(opened, dtype=np.uint8)
        except PT4ALError:
            raise
        except Exception as error:  # what decoders raise on damaged bytes is not a closed set
            raise PT4ALError(f"{path} cannot be read as a PNG file: {error}.") from None

    # All of them, even where the classes are told: a mask that is none would be noticed hours later.
    found = {number for position in range(len(names)) for number in np.unique(mask(position)).tolist()}
    told = masks / "classes.txt"
    if told.exists():
        classes = _lines(told)
    else:
        classes = tuple(str(number) for number in range(max(found - {UNKNOWN}, default=-1) + 1))
    if not 2 <= len(classes) <= UNKNOWN:
        raise PT4ALError(
            f"The masks in {masks} are of {len(classes)} class{'' if len(classes) == 1 else 'es'}: "
            f"2 to {UNKNOWN} can be learnt, numbered from 0 up ({UNKNOWN} is for what is not labelled)."
        )
    if found.isdisjoint(range(len(classes))):
        raise PT4ALError(f"No pixel of the masks in {masks} is of a class that {told} names.")
    sizes = [(path.name, path.stat().st_size) for name in names for path in (files[name], paths[name])]
    return SegmentedImages(
        classes,
        tuple(names),
        lambda position: _content(files[names[position]]),
        mask,
        digest_of(sizes),
        lambda position: str(files[names[position]]),
    )


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """The files by their name without its ending. ``PT4ALError`` where two have the same."""
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise PT4ALError(f"{found[path.stem]} and {path} have one name, by which masks are found: rename one.")
        found[path.stem] = path
    return found


def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise PT4ALError(f"{path} cannot be read as UTF-8 text: {error}.") from None


def _directory(path: Path) -> Path:
    if not path.is_dir():
        raise PT4ALError(f"{path} is not a directory.")
    return path


def read_folder(root: Path) -> LabelledImages:
    """The images below ``root``, whose directories are the classes."""
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
