"""The demo's images: handwritten digits from scikit-learn, or a directory with one directory per class."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pt4al_backend.datasets.folders import files_by_class
from pt4al_backend.datasets.known_images import digest_of
from pt4al_backend.store.files import new_directory

if TYPE_CHECKING:
    from PIL import Image

DIGITS = "digits"
DIGIT_SIDE = 256  # pixels, to look at; the originals have 8
TRAINING_DIGIT_SIDE = 32  # pixels, to train on; more would add no detail


@dataclass(frozen=True)
class LabelledImage:
    """An image file and the class it belongs to."""

    path: Path
    label: str


@dataclass(frozen=True)
class ImageFolder:
    """`root` holds one directory per class; its parent is Label Studio's document root."""

    root: Path
    title: str
    width: str
    """Width of an image in Label Studio, as in CSS."""
    classes: tuple[str, ...]
    images: tuple[LabelledImage, ...]

    def url(self, image: LabelledImage) -> str:
        """The image's address in Label Studio."""
        return f"/data/local-files/?d={quote(image.path.relative_to(self.root.parent).as_posix())}"

    def shuffled(self, *, seed: int) -> tuple[LabelledImage, ...]:
        """All images in a random order that depends on the seed alone."""
        return tuple(random.Random(seed).sample(self.images, len(self.images)))

    @property
    def truth(self) -> dict[str, str]:
        """The class of each image, by the image's address."""
        return {self.url(image): image.label for image in self.images}


def read_folder(root: Path, document_root: Path) -> ImageFolder:
    """The images below `root`, which has one directory per class.

    Label Studio serves what is below its document root, so `root` is linked there (fact 43): several sets can be
    served side by side.

    Raises:
        PT4ALError: The directories are not laid out like that.
    """
    root = root.expanduser().resolve()
    files_by_class(root)  # before the link is made, so that an error names the directory as the user does
    plain = re.sub(r"[^\w.-]+", "-", root.name)
    link = document_root / f"{plain}-{digest_of(str(root))[:6]}"
    document_root.mkdir(parents=True, exist_ok=True)
    if not link.is_symlink():
        link.symlink_to(root, target_is_directory=True)
    return _folder(link, title=root.name, width="100%")


def write_digits(document_root: Path) -> ImageFolder:
    """Write scikit-learn's 1,797 handwritten digits as PNG files below `document_root`, unless that has been done."""
    root = document_root / DIGITS
    if not root.is_dir():
        with new_directory(root, shared=True) as unfinished:
            _write_all_digits(unfinished)
    return _folder(root, title=DIGITS, width="320px")


def _folder(root: Path, *, title: str, width: str) -> ImageFolder:
    images = tuple(LabelledImage(path, label) for path, label in files_by_class(root))
    return ImageFolder(root, title, width, tuple(dict.fromkeys(image.label for image in images)), images)


def _write_all_digits(root: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    for label in digits.target_names:
        (root / str(label)).mkdir(parents=True)
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        _drawn(pixels).save(root / str(label) / f"{number:04}.png", compress_level=1)


def _drawn(pixels: Any) -> Image.Image:
    """Draw a digit as dark strokes on white paper: enlarged, with its soft edges sharpened.

    Args:
        pixels: The digit's ink, (8, 8), from 0 to 16.
    """
    from PIL import Image, ImageOps

    ink = ImageOps.expand(Image.fromarray((pixels * (255 / 16)).astype("uint8")), border=1)
    soft = ink.resize((DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC)
    return soft.point([round(255 - 225 / (1 + math.exp(-24 * (value / 255 - 0.5)))) for value in range(256)])


def label_config(classes: Sequence[str], *, width: str = "100%") -> str:
    """A label config with a choice of `classes` below an image of that width."""
    from xml.sax.saxutils import quoteattr

    # Label Studio numbers choices from 1, which would put the digit 3 on key 4.
    digits = all(name.isdecimal() and len(name) == 1 for name in classes)
    hotkeys = [f" hotkey={quoteattr(name)}" if digits else "" for name in classes]
    choices = "\n    ".join(
        f"<Choice value={quoteattr(name)}{hotkey}/>" for name, hotkey in zip(classes, hotkeys, strict=True)
    )
    return (
        f'<View>\n  <Image name="image" value="$image" width="{width}"/>\n'
        f'  <Choices name="class" toName="image" showInline="true">\n    {choices}\n  </Choices>\n</View>\n'
    )
