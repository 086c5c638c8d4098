"""From stored pixels to network inputs: reading, augmenting, normalising, rotating.

All randomness comes from generators named by (seed, purpose, counter), so any step of a
training can be done again without doing the ones before it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.learning.devices import is_cuda
from pt4al_backend.learning.types import Images

INIT, ORDER, AUGMENT = range(3)
"""What random numbers are drawn for."""

# ImageNet's RGB statistics: fixed, so that a network reads new images as it read the old ones
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_CACHE_SHARE = 0.4
"""Of the free GPU memory, at most this much holds pixels; the rest is for the network."""


def generator(seed: int, *path: int) -> torch.Generator:
    """A CPU generator of its own for every (seed, path)."""
    state = np.random.SeedSequence(seed % 2**64, spawn_key=path).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> 1))


class Pixels:
    """The pixels of `rows` as uint8 tensors (n, S, S, 3) on the device, by position in `rows`.

    On a GPU every image is copied once and stays, if all fit; on a CPU nothing is kept.
    """

    def __init__(self, images: Images, rows: npt.NDArray[np.int64], device: str) -> None:
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
            self._cache[torch.from_numpy(missing).to(self._device)] = self._read(missing)
            self._cached[missing] = True
        return self._cache[torch.from_numpy(positions).to(self._device)]

    def _read(self, positions: npt.NDArray[np.int64]) -> Tensor:
        pixels = np.array(self._images.read(self._rows[positions]), dtype=np.uint8)
        return torch.from_numpy(pixels).to(self._device)


def augmented(pixels: Tensor, *, generator: torch.Generator) -> Tensor:
    """Random crop of the zero-padded image (4 pixels at 32) and horizontal flip, (n, S, S, 3)."""
    n, size = pixels.shape[:2]
    padding = size // 8
    padded = F.pad(pixels, (0, 0, padding, padding, padding, padding))
    top, left = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator)
    flip = torch.rand(n, 1, generator=generator) < 0.5
    along = torch.arange(size)
    down = (top + along).to(pixels.device)
    across = (left + torch.where(flip, along.flip(0), along)).to(pixels.device)
    which = torch.arange(n, device=pixels.device)
    return padded[which[:, None, None], down[:, :, None], across[:, None, :]]


def normalised(pixels: Tensor) -> Tensor:
    """uint8 (n, S, S, 3) -> float32 (n, 3, S, S), channels last in memory."""
    mean = 255 * torch.tensor(_MEAN, device=pixels.device)
    std = 255 * torch.tensor(_STD, device=pixels.device)
    return ((pixels.float() - mean) / std).permute(0, 3, 1, 2)


def recoloured(inputs: Tensor, *, strength: float, generator: torch.Generator) -> Tensor:
    """Inputs (n, 3, S, S) with contrast, brightness and colour balance changed at random.

    Contrast by a factor of 1 +- `strength`, each channel by an offset of +- `strength` standard deviations.
    """
    n = len(inputs)
    contrast = 1 + strength * (2 * torch.rand(n, 1, 1, 1, generator=generator) - 1)
    offset = strength * (2 * torch.rand(n, 3, 1, 1, generator=generator) - 1)
    return inputs * contrast.to(inputs.device) + offset.to(inputs.device)


def rotated(inputs: Tensor) -> Tensor:
    """(n, 3, S, S) -> (4n, 3, S, S): all images turned by 0, then by 90, 180, 270 degrees to the left.

    The pretext task (PT4AL, section 3.1): `rotation_labels(n)` are the answers.
    """
    turned = torch.cat([torch.rot90(inputs, k, (2, 3)) for k in range(4)])
    return turned.contiguous(memory_format=torch.channels_last)


def rotation_labels(n: int, *, device: str) -> Tensor:
    """int64 (4n,): the quarter turn of each input of `rotated`."""
    return torch.arange(4, device=device).repeat_interleave(n)
