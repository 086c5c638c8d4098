"""A directory of images, and a directory of their masks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pt4al_backend.datasets.folders import content_of
from pt4al_backend.datasets.known_images import SegmentedImages, digest_of
from pt4al_backend.datasets.other_formats import IMAGES
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.segmentation import UNKNOWN


def read_masks(root: Path, masks: Path) -> SegmentedImages:
    """The images in `root` that have a mask in `masks`: a PNG of the same name whose pixels are class numbers.

    A file `classes.txt` among the masks may name the classes, one per line, from 0 up. Without it the classes are the
    numbers from 0 to the largest below 255 in the masks.

    Raises:
        PT4ALError: there are no such images, or a mask is invalid.
    """
    paths = _by_name(path for path in sorted(_directory(masks).rglob("*")) if path.suffix.lower() == ".png")
    resolved_masks = {path.resolve() for path in paths.values()}  # the masks may lie among the images
    files = _by_name(
        path
        for path in sorted(_directory(root).rglob("*"))
        if path.suffix.lower() in IMAGES and path.stem in paths and path.resolve() not in resolved_masks
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
                    raise PT4ALError(f"{path} is not a mask: its pixels have to be class numbers from 0 to 255.")
                return np.array(opened, dtype=np.uint8)
        except PT4ALError:
            raise
        except Exception as error:  # decoders raise anything on damaged bytes
            raise PT4ALError(f"{path} cannot be read as a PNG file: {error}.") from None

    # All masks are read, even if the classes are named: an invalid one would otherwise be noticed hours later.
    numbers = {number for position in range(len(names)) for number in np.unique(mask(position)).tolist()}
    class_names = masks / "classes.txt"
    if class_names.exists():
        classes = _lines(class_names)
    else:
        classes = tuple(str(number) for number in range(max(numbers - {UNKNOWN}, default=-1) + 1))
    if not 2 <= len(classes) <= UNKNOWN:
        raise PT4ALError(
            f"The masks in {masks} have {len(classes)} class{'' if len(classes) == 1 else 'es'}: "
            f"2 to {UNKNOWN} can be learned, numbered from 0 up ({UNKNOWN} marks unlabelled pixels)."
        )
    if numbers.isdisjoint(range(len(classes))):
        raise PT4ALError(f"No pixel of the masks in {masks} has a class that {class_names} names.")
    sizes = [(path.name, path.stat().st_size) for name in names for path in (files[name], paths[name])]
    return SegmentedImages(
        classes,
        tuple(names),
        lambda position: content_of(files[names[position]]),
        mask,
        digest_of(sizes),
        lambda position: str(files[names[position]]),
    )


def _by_name(paths: Iterable[Path]) -> dict[str, Path]:
    """The files by name without suffix. `PT4ALError` if two have the same name."""
    by_name: dict[str, Path] = {}
    for path in paths:
        if path.stem in by_name:
            raise PT4ALError(f"{by_name[path.stem]} and {path} have the same name, but masks go by name: rename one.")
        by_name[path.stem] = path
    return by_name


def _lines(path: Path) -> tuple[str, ...]:
    try:
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").rstrip().splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise PT4ALError(f"{path} cannot be read as UTF-8 text: {error}.") from None


def _directory(path: Path) -> Path:
    if not path.is_dir():
        raise PT4ALError(f"{path} is not a directory.")
    return path
