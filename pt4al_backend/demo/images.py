"""The demo's images: handwritten digits from scikit-learn, or a directory with one directory per class."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from pt4al_backend.labelled_images import files_by_class

DIGIT_SIDE = 32  # pixels; the originals have 8


@dataclass(frozen=True)
class LabelledImage:
    """An image file and the class it belongs to."""

    path: Path
    label: str


@dataclass(frozen=True)
class ImageFolder:
    """``root`` holds one directory per class."""

    root: Path
    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]

    def url(self, image: LabelledImage) -> str:
        """The image's address in a Label Studio whose document root is the parent of ``root``."""
        return f"/data/local-files/?d={quote(image.path.relative_to(self.root.parent).as_posix())}"

    def sample(self, count: int | None, *, seed: int) -> tuple[LabelledImage, ...]:
        """So many images (None: all) in a random order that the seed decides."""
        return tuple(random.Random(seed).sample(self.images, min(count or len(self.images), len(self.images))))


def read_folder(root: Path) -> ImageFolder:
    """The images below ``root``, whose directories are the classes. ``PT4ALError`` where they are not."""
    root = root.expanduser().resolve()
    images = tuple(LabelledImage(path, label) for path, label in files_by_class(root))
    return ImageFolder(root, tuple(dict.fromkeys(image.label for image in images)), images)


def write_digits(root: Path) -> ImageFolder:
    """scikit-learn's 1,797 handwritten digits as PNG files below ``root``, unless they are there already."""
    if not root.is_dir():
        unfinished = root.with_name(f"{root.name}.{os.getpid()}.tmp")
        shutil.rmtree(unfinished, ignore_errors=True)
        _write_all_digits(unfinished)
        unfinished.rename(root)
    return read_folder(root)


def _write_all_digits(root: Path) -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label in digits.target_names:
        (root / str(label)).mkdir(parents=True)
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        ink = Image.fromarray((pixels * (255 / 16)).astype("uint8"))
        ink.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC).save(root / str(label) / f"{number:04}.png")


def label_config(classes: Sequence[str]) -> str:
    """A label config that asks for one of ``classes``."""
    from xml.sax.saxutils import quoteattr

    # Label Studio numbers choices from 1, so that the digit 3 would be on key 4.
    digits = all(name.isdecimal() and len(name) == 1 for name in classes)
    hotkeys = [f" hotkey={quoteattr(name)}" if digits else "" for name in classes]
    choices = "\n    ".join(
        f"<Choice value={quoteattr(name)}{hotkey}/>" for name, hotkey in zip(classes, hotkeys, strict=True)
    )
    return (
        '<View>\n  <Image name="image" value="$image" width="320px"/>\n'
        f'  <Choices name="class" toName="image" showInline="true">\n    {choices}\n  </Choices>\n</View>\n'
    )
