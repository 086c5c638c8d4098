"""A directory of images and one of their masks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.datasets.folders import _content
from pt4al_backend.datasets.known_images import SegmentedImages, digest_of
from pt4al_backend.datasets.other_formats import IMAGES
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.segmentation import UNKNOWN


def read_masks(root: Path, masks: Path) -> SegmentedImages:
    """The images in `root` that have a mask in `masks`: a PNG of the same name, class numbers as its pixels.

    A file `classes.txt` beside the masks may name the classes, a line for each, from 0 up. Without it the numbers
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
    """The files by their name without its ending. `PT4ALError` where two have the same."""
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
