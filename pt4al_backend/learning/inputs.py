"""From stored pixels to network inputs: reading, augmenting, normalising, rotating.

All randomness comes from generators identified by (seed, purpose, counter), so any training step can be repeated
without repeating the steps before it.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pt4al_backend.learning.devices import is_cuda, sent
from pt4al_backend.learning.types import Images

INIT, ORDER, AUGMENT = range(3)
"""The purposes of random numbers."""

_CACHE_SHARE = 0.4
"""Largest fraction of the free GPU memory that holds pixels; the rest is for the network."""


def generator(seed: int, *path: int) -> torch.Generator:
    """A separate CPU generator for every (seed, path)."""
    state = np.random.SeedSequence(seed % 2**64, spawn_key=path).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


class Normalisation(NamedTuple):
    """The mean and the standard deviation of red, green and blue that a network expects, 0..1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""The same for every pool, so that a network sees new images as it saw earlier ones."""


class Pixels:
    """The pixels of `rows` as uint8 tensors (n, S, S, 3) on the device, by position in `rows`.

    On a GPU every image is copied once and stays, if all fit; on a CPU nothing is cached.
    """

    def __init__(self, images: Images, rows: npt.NDArray[np.int64], device: str) -> None:
        self.size = images.size
        self._images, self._rows, self._device = images, rows, device
        self._cache: Tensor | None = None
        shape = (len(rows), images.size, images.size, 3)
        if is_cuda(device) and math.prod(shape) < _CACHE_SHARE * torch.cuda.mem_get_info(device)[0]:
            self._cache = torch.empty(shape, dtype=torch.uint8, device=device)
            self._cached = np.zeros(len(rows), dtype=bool)

    def __call__(self, positions: npt.NDArray[np.int64]) -> Tensor:
        if self._cache is None:
            return self._read(positions)
        missing = positions[~self._cached[positions]]
        if len(missing):
            self._cache[sent(torch.from_numpy(missing), self._device)] = self._read(missing)
            self._cached[missing] = True
        return self._cache[sent(torch.from_numpy(positions), self._device)]

    def _read(self, positions: npt.NDArray[np.int64]) -> Tensor:
        pixels = np.array(self._images.read(self._rows[positions]), dtype=np.uint8)
        return sent(torch.from_numpy(pixels), self._device)


class Crop(NamedTuple):
    """Crops of n images: rows (n, S) and columns (n, S) in pixels; they may lie outside the image."""

    down: Tensor
    across: Tensor


def random_crop(n: int, size: int, *, generator: torch.Generator) -> Crop:
    """Crops shifted by up to an eighth of the side (4 pixels at 32), half of them flipped."""
    most = size // 8
    top, left = torch.randint(0, 2 * most + 1, (2, n, 1), generator=generator) - most
    flip = torch.rand(n, 1, generator=generator) < 0.5
    along = torch.arange(size)
    return Crop(top + along, left + torch.where(flip, along.flip(0), along))


def cut(values: Tensor, crop: Crop, *, outside: int = 0) -> Tensor:
    """Crop `values` (n, side, side, ...) of images; `outside` fills the pixels outside an image.

    Masks coarser than the images are shifted to their nearest pixel.
    """
    n, side = values.shape[:2]
    size = crop.down.shape[1]
    of_image = torch.arange(size // 2, size * side, size, device=values.device) // side  # centres of the values' pixels
    down = (crop.down[:, of_image] * side // size)[:, :, None]
    across = (crop.across[:, of_image] * side // size)[:, None, :]
    inside = (down >= 0) & (down < side) & (across >= 0) & (across < side)
    image = torch.arange(n, device=values.device)[:, None, None]
    moved = values[image, down.clamp(0, side - 1), across.clamp(0, side - 1)]
    return moved.masked_fill(~inside.view(inside.shape + (1,) * (values.ndim - 3)), outside)


def normalised(pixels: Tensor, normalisation: Normalisation = IMAGENET) -> Tensor:
    """uint8 (n, S, S, 3) -> float32 (n, 3, S, S), channels last in memory."""
    mean, std = _statistics(pixels.device, normalisation)
    return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)


@cache
@torch.inference_mode(False)
def _statistics(device: torch.device, normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel, 0..255."""
    mean, std = (255 * torch.tensor(each, device=device) for each in normalisation)
    return mean, std


class Colours(NamedTuple):
    """Colour changes of n images: a factor (n, 1, 1, 1), and an offset per channel (n, 3, 1, 1)."""

    contrast: Tensor
    offset: Tensor


def random_colours(n: int, *, strength: float, generator: torch.Generator) -> Colours:
    """Contrast of 1 +- `strength`, offsets of +- `strength` standard deviations: brightness and colour balance."""
    contrast = 1 + strength * (2 * torch.rand(n, 1, 1, 1, generator=generator) - 1)
    return Colours(contrast, strength * (2 * torch.rand(n, 3, 1, 1, generator=generator) - 1))


def recoloured(inputs: Tensor, colours: Colours) -> Tensor:
    """Inputs (n, 3, S, S) with their colours changed."""
    return inputs * colours.contrast + colours.offset


def rotated(inputs: Tensor) -> Tensor:
    """(n, 3, S, S) -> (4n, 3, S, S): all images rotated by 0, then 90, 180, 270 degrees counterclockwise.

    The inputs of the pretext task (PT4AL, section 3.1); `rotation_labels(n)` are its labels.
    """
    rotations = torch.cat([torch.rot90(inputs, k, (2, 3)) for k in range(4)])
    return rotations.contiguous(memory_format=torch.channels_last)


def rotation_labels(n: int, *, device: str) -> Tensor:
    """int64 (4n,): the number of quarter turns of each image in `rotated`."""
    return torch.arange(4, device=device).repeat_interleave(n)
