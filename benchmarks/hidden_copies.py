"""Images with hidden copies of some of them, embedded by the default encoder: what near-duplicates are measured on.

A copy is cropped to 90 to 97 % of either side, scaled to 50 to 80 %, made up to 10 % brighter or darker, and saved as
JPEG of a quality of 30 to 80: each at random, one after the other. Embeddings are kept in `build/copies`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from benchmarks import datasets
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.store.decode import decode

KEPT = Path(__file__).parents[1] / "build" / "copies"
COPIED = 200
"""Images with copies, or a quarter of the set if that is less."""
COPIES = 5
"""Of each."""
AT_ONCE = 32

Read = Callable[[int], bytes]
Change = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Files:
    """`n` image files."""

    name: str
    n: int
    read: Read

    @cached_property
    def embeddings(self) -> np.ndarray:
        """(n, D) float16, as the worker embeds them."""
        return _kept(f"{self.name}.npy", lambda: embedded(self.n, self.read))

    def pixels(self, side: int) -> np.ndarray:
        """(n, side, side, 3), as the worker stores them."""
        pixels = (decode(self.read(k), size=side) for k in range(self.n))
        return _kept(f"{self.name}-{side}px.npy", lambda: np.stack(list(pixels)))


@dataclass(frozen=True)
class Images(Files):
    """Files without labels, of which some are copied."""

    @cached_property
    def side(self) -> int:
        """At which the worker would store them on a CPU."""
        sides = [min(Image.open(io.BytesIO(self.read(k))).size) for k in range(0, self.n, max(self.n // 64, 1))]
        return learning.choose_image_size(int(np.median(sides)), preset="fast", device="cpu")

    @property
    def copied(self) -> int:
        """How many of them have copies."""
        return min(COPIED, self.n // 4)

    def originals(self, seed: int) -> np.ndarray:
        """(copied,) positions of the images that this seed copies."""
        return np.random.default_rng([seed, 1]).permutation(self.n)[: self.copied]

    def copies(self, kind: str, seed: int) -> Files:
        """The copies, of one of `KINDS`: all of the first original, all of the second one, ..."""
        copying, originals = KINDS[kind], self.originals(seed)

        def read(number: int) -> bytes:
            original, copy = divmod(number, len(copying))
            random = np.random.default_rng([seed, 2, list(KINDS).index(kind), number])
            return copying[copy](self.read(int(originals[original])), random)

        return Files(f"{self.name}-{kind}-{seed}", self.copied * len(copying), read)


def cropped(image: Image.Image, random: np.random.Generator) -> Image.Image:
    width, height = (round(random.uniform(0.9, 0.97) * side) for side in image.size)
    left, top = (int(random.integers(0, most + 1)) for most in (image.width - width, image.height - height))
    return image.crop((left, top, left + width, top + height))


def scaled(image: Image.Image, random: np.random.Generator) -> Image.Image:
    scale = random.uniform(0.5, 0.8)
    return image.resize((max(round(scale * image.width), 1), max(round(scale * image.height), 1)))


def relit(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(random.uniform(0.9, 1.1))


def mirrored(image: Image.Image, _random: np.random.Generator) -> Image.Image:
    return ImageOps.mirror(image)


@dataclass(frozen=True)
class Copying:
    """What is done to a copy."""

    changes: tuple[Change, ...]
    recompress: bool
    """Whether it is saved as JPEG; as PNG otherwise."""

    def __call__(self, file: bytes, random: np.random.Generator) -> bytes:
        image, copy = Image.open(io.BytesIO(file)).convert("RGB"), io.BytesIO()
        for change in self.changes:
            image = change(image, random)
        if self.recompress:
            image.save(copy, "JPEG", quality=int(random.integers(30, 81)))
        else:
            image.save(copy, "PNG", compress_level=1)
        return copy.getvalue()


EVERYTHING = (cropped, scaled, relit)
KINDS = {
    "all": (Copying(EVERYTHING, True),) * COPIES,
    "one": (*(Copying((change,), False) for change in (cropped, cropped, scaled, relit)), Copying((), True)),
    "mirrored": (Copying((mirrored, *EVERYTHING), True),),
}
"""What is done to each copy: everything, one thing, or everything and a horizontal flip."""


def embedded(n: int, read: Read) -> np.ndarray:
    """(n, D) float16, as the worker embeds them."""
    encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=_no_network, dense=False)
    parts = []
    for start in range(0, n, AT_ONCE):
        pixels = [decode(read(k), size=encoder.input_size) for k in range(start, min(start + AT_ONCE, n))]
        parts.append(encoder.embed_pixels(np.stack(pixels), device="cpu")[0])
    return np.concatenate(parts)


def _no_network(name: str) -> learning.Weights:
    raise SystemExit(f"{name} belongs to a project.")


def _kept(name: str, compute: Callable[[], np.ndarray]) -> np.ndarray:
    path = KEPT / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, compute())
    return np.load(path)


def _both(name: str, parts: Sequence[LabelledImages]) -> Images:
    """Training and test part, one after the other."""
    first, second = parts
    return Images(
        name,
        len(first) + len(second),
        lambda k: first.read(k) if k < len(first) else second.read(k - len(first)),
    )


def _taken(name: str, images: LabelledImages, positions: np.ndarray) -> Images:
    part = images.take(positions)
    return Images(name, len(part), part.read)


def _caltech101(name: str, half: int) -> Images:
    images, _ = datasets.caltech101(0)
    return _taken(name, images, np.sort(np.random.default_rng(0).permutation(len(images))[half::2]))


def _of_files(name: str, place: str) -> Images:
    files = datasets.Files(place)
    names = [each for each in files.images() if "annot/" not in each]
    return Images(name, len(names), lambda k: files.read(names[k]))


CHOOSING: dict[str, Callable[[str], Images]] = {
    "caltech101-half": lambda name: _caltech101(name, 0),
    "cifar10-training": lambda name: _taken(name, datasets.cifar10_for_tuning(3000)[0], np.arange(3000)),
    "camvid": lambda name: _of_files(name, "camvid/camvid_360x480.zip"),
    "bccd": lambda name: _of_files(name, "bccd/bccd_480x640.zip"),
}
"""What everything was chosen on: half of the photographs, tiny ones, frames of videos, microscope images."""

REPORTED: dict[str, Callable[[str], Images]] = {
    "caltech101": lambda name: _caltech101(name, 1),
    "rsscn7": lambda name: _both(name, datasets.rsscn7()),
    "neu_det": lambda name: _both(name, datasets.neu_det()),
    "cifar10": lambda name: _taken(name, datasets.cifar10(10)[1], np.arange(3000)),
    "brain_mri": lambda name: _both(name, datasets.brain_mri()),
}
"""What was looked at only then: the other half of the photographs, aerial scenes, steel, tiny ones, slices of heads."""


def images_of(name: str) -> Images:
    return {**CHOOSING, **REPORTED}[name](name)
