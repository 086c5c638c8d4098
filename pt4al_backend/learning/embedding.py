"""Frozen encoders: embeddings of images, and predictions of a linear probe for their pixels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pt4al_backend.learning.devices import computing, sent
from pt4al_backend.learning.linear_probe import Head
from pt4al_backend.learning.networks import mask_side
from pt4al_backend.learning.patch_layout import Half, PatchLayout, head_on_maps
from pt4al_backend.learning.thread_choice import ThreadChoice
from pt4al_backend.learning.types import Images

_LARGEST = torch.finfo(torch.float16).max

Rows = npt.NDArray[np.int64]

Maps = Sequence[Tensor]
"""Patch embeddings: the map (n, c, s, s) of each stage, the finest first."""
Encode = Callable[[Tensor], tuple[Tensor, Maps | None]]
"""Pixels uint8 (n, S, S, 3) -> embeddings (n, D), and maps of patch embeddings or None."""


@dataclass(frozen=True, kw_only=True)
class Encoder(ABC):
    """A frozen network; linear probes are fitted on its embeddings."""

    pretrained: ClassVar[bool] = True
    """Whether it was trained on other images than the project's."""
    name: str
    """As in `ENCODERS`; the files of its embeddings are named after it."""
    dimension: int
    """Length D of an image's embedding."""
    patches: PatchLayout | None
    """How patch embeddings are stored; None if the encoder has none."""
    input_size: int
    """Side S of its inputs in pixels; images of other sizes are resized."""

    @abstractmethod
    def load(self, device: str) -> Encode:
        """The network on a device, ready to be called."""

    def module(self) -> nn.Module:
        """The network for PyTorch's exporter, on the CPU: pixels uint8 (n, S, S, 3) -> embeddings, and maps if any."""
        return _Module(self.load("cpu"))

    @abstractmethod
    def images_per_step(self, device: str) -> int:
        """The number of images to compute between two yields."""

    def embed(self, images: Images, rows: Rows, *, device: str) -> Iterator[tuple[Rows, Half, Half | None]]:
        """Embed the images in `rows` (n,).

        Yields:
            For each chunk its rows (k,), their embeddings float16 (k, D), and their patch embeddings float16
            (k, `patches.size`) or None.
        """
        for chunk, embeddings, maps in self._encoded(images, rows, device=device):
            yield chunk, *self._stored(embeddings, maps, device)

    def embed_pixels(self, pixels: npt.NDArray[np.uint8], *, device: str) -> tuple[Half, Half | None]:
        """Embed one chunk of decoded images.

        Threads may call it at the same time. An encoder that is asked for many chunks keeps its network loaded.

        Args:
            pixels: uint8 (n, S, S, 3), RGB; S need not be `input_size`.
            device: `cpu`, `cuda` or `cuda:<n>`.

        Returns:
            Embeddings float16 (n, D), and patch embeddings float16 (n, `patches.size`) or None.
        """
        return self._stored(*self._encode(self.load(device), pixels, device), device)

    def segment(self, head: Head, images: Images, rows: Rows, *, device: str) -> Iterator[tuple[Rows, Half]]:
        """Apply a head on patch embeddings (`fit_pixel_head`, `network_head`) to every pixel of the images in `rows`.

        Yields:
            For each chunk its rows (k,), and logits float16 (k, m, m, classes); m is `mask_side`.
        """
        side = mask_side(images.size)
        for chunk, _, maps in self._encoded(images, rows, device=device):
            assert maps is not None
            with torch.inference_mode(), computing(device, half=False):
                logits = _half(head_on_maps(head, maps, side=side).permute(0, 2, 3, 1))
            yield chunk, logits

    def _encoded(self, images: Images, rows: Rows, *, device: str) -> Iterator[tuple[Rows, Tensor, Maps | None]]:
        network, step, threads = self.load(device), self.images_per_step(device), ThreadChoice.on(device)
        for start in range(0, len(rows), step):
            chunk = rows[start : start + step]
            with threads.step(len(chunk)):
                embeddings, maps = self._encode(network, images.read(chunk), device)
            yield chunk, embeddings, maps

    def _encode(self, network: Encode, pixels: npt.NDArray[np.uint8], device: str) -> tuple[Tensor, Maps | None]:
        with torch.inference_mode(), computing(device, half=False):
            return network(self.resized(sent(torch.from_numpy(np.ascontiguousarray(pixels)), device)))

    def resized(self, pixels: Tensor) -> Tensor:
        """uint8 (n, s, s, 3) -> uint8 (n, S, S, 3), S = `input_size`."""
        if pixels.shape[1] == self.input_size:
            return pixels
        planes = F.interpolate(
            pixels.permute(0, 3, 1, 2).float(), size=self.input_size, mode="bilinear", antialias=True
        )
        return planes.round().clamp(0, 255).byte().permute(0, 2, 3, 1).contiguous()

    def _stored(self, embeddings: Tensor, maps: Maps | None, device: str) -> tuple[Half, Half | None]:
        """As they are stored."""
        with torch.inference_mode(), computing(device, half=False):
            if maps is None or self.patches is None:
                return _half(embeddings), None
            return _half(embeddings), _half(self.patches.packed(maps))


class _Module(nn.Module):
    """What `Encoder.load` returns, as a module."""

    def __init__(self, encode: Encode) -> None:
        super().__init__()
        self._encode = encode

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        embeddings, maps = self._encode(pixels)
        return embeddings, *(maps or ())


def in_half_precision(values: Tensor) -> Tensor:
    """As they are stored: float16, at most its largest number."""
    return values.clamp(-_LARGEST, _LARGEST).half()


def _half(values: Tensor) -> Half:
    return in_half_precision(values).contiguous().cpu().numpy()
