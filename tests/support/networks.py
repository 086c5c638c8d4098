"""Small real images, a checkpoint in memory, and generators run to their end."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import numpy as np
from sklearn.datasets import load_digits

from pt4al_backend import learning

T = TypeVar("T")


@dataclass
class ArrayImages:
    """A pool that is one array."""

    pixels: np.ndarray

    @property
    def size(self) -> int:
        return self.pixels.shape[1]

    def read(self, rows: np.ndarray) -> np.ndarray:
        return self.pixels[rows]


@dataclass
class MemoryCheckpoint:
    """Keeps the last save, and copies like a file would."""

    saved: tuple[learning.Arrays, dict[str, Any]] | None = None
    saves: int = field(default=0)

    def load(self) -> tuple[learning.Arrays, dict[str, Any]] | None:
        return self.saved

    def save(self, arrays: learning.Arrays, meta: dict[str, Any]) -> None:
        self.saved = {name: array.copy() for name, array in arrays.items()}, dict(meta)
        self.saves += 1


@dataclass
class ArrayMasks:
    """Answers to a segmentation that are one array."""

    masks: np.ndarray

    def read(self, positions: np.ndarray) -> np.ndarray:
        return self.masks[positions]


def single(classes: int) -> learning.Output:
    return learning.Output(learning.SINGLE, classes)


def multiple(classes: int) -> learning.Output:
    return learning.Output(learning.MULTIPLE, classes)


SHAPES = learning.Output(learning.SEGMENTATION, 3)
"""Red discs, green squares, background."""


def shapes(n: int, *, size: int = 64, seed: int = 0) -> tuple[ArrayImages, np.ndarray]:
    """A disc, a square, both or none on noise, the later on top, and their masks at half the side."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (n, size, size, 3), dtype=np.uint8)
    masks = np.full((n, size, size), 2, dtype=np.uint8)
    down, across = np.mgrid[:size, :size]
    for image, mask in zip(pixels, masks, strict=True):
        for shape in random.permutation(2)[: random.choice(3, p=[0.1, 0.4, 0.5])]:
            y, x, radius = random.integers([0, 0, size // 8], [size, size, size // 3])
            dy, dx = abs(down - y), abs(across - x)
            within = dy**2 + dx**2 < radius**2 if shape == 0 else np.maximum(dy, dx) < radius
            image[within, shape] = 255
            mask[within] = shape
    return ArrayImages(pixels), masks[:, ::2, ::2]


def digits() -> tuple[ArrayImages, np.ndarray]:
    """scikit-learn's 1,797 handwritten digits at 16 pixels, and which they are."""
    data = load_digits()
    grey = np.kron(data.images, np.ones((1, 2, 2)))
    pixels = np.repeat((grey * 15.9).astype(np.uint8)[..., None], 3, axis=3)
    return ArrayImages(pixels), data.target.astype(np.int64)


def noise(n: int, size: int = 16, seed: int = 0) -> ArrayImages:
    return ArrayImages(np.random.default_rng(seed).integers(0, 256, (n, size, size, 3), dtype=np.uint8))


def small(size: int = 16, *, pool: int = 100, **changes: Any) -> learning.Recipe:
    """The fast recipe, narrow and short."""
    dense = changes.pop("dense", False)
    recipe = learning.recipes("fast", device="cpu", pool=pool, image_size=size, dense=dense)
    short: dict[str, Any] = {"width": 8, "batch": 16, "epochs": 2, "least_steps": 0} | changes
    return replace(recipe, pretext=replace(recipe.pretext, **short), main=replace(recipe.main, **short))


def finish(work: Generator[Any, None, T]) -> T:
    """Run a computation to its end and take its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value


def embeddings_of(weights: learning.Weights, images: ArrayImages, rows: np.ndarray) -> np.ndarray:
    chunks = learning.network_encoder(weights).embed(images, rows, device="cpu")
    return np.concatenate([vectors for _, vectors, _ in chunks])


def patches_of(weights: learning.Weights, images: ArrayImages, rows: np.ndarray) -> np.ndarray:
    """(n, G, G, F)"""
    encoder = learning.network_encoder(weights)
    assert encoder.patches is not None
    ((side, width),) = encoder.patches.stages
    chunks = encoder.embed(images, rows, device="cpu")
    return np.concatenate([cells.reshape(-1, side, side, width) for _, _, cells in chunks if cells is not None])


def segmented(weights: learning.Weights, head: learning.Head, images: ArrayImages, rows: np.ndarray) -> np.ndarray:
    """The class of every pixel."""
    chunks = learning.network_encoder(weights).segment(head, images, rows, device="cpu")
    return np.concatenate([logits.argmax(axis=-1) for _, logits in chunks])


def same(a: learning.Weights, b: learning.Weights) -> bool:
    """Bit-identical."""
    return a.spec == b.spec and all(np.array_equal(a.arrays[name], b.arrays[name]) for name in a.arrays)
