"""The smallest encoder: the mean colours of an image, and of each pixel of a coarser one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import ENCODERS, Encode, Encoder, PatchLayout
from pt4al_backend.learning.encoders import Wanted


@dataclass(frozen=True, kw_only=True)
class ColourEncoder(Encoder):
    step: int = 64
    parts: int = 1
    """Parts of an image along a side, each with a mean colour of its own."""
    scale: float = 1 / 255

    def load(self, device: str) -> Encode:
        return self._encoded_colours

    def _encoded_colours(self, pixels: Tensor) -> tuple[Tensor, list[Tensor] | None]:
        planes = pixels.permute(0, 3, 1, 2) * self.scale
        colours = F.adaptive_avg_pool2d(planes, self.parts).flatten(1)
        return colours, None if self.patches is None else [F.avg_pool2d(planes, 2)]

    def images_per_step(self, device: str) -> int:
        return self.step


def colour_encoder(name: str, *, dense: bool, size: int = 8, parts: int = 1) -> ColourEncoder:
    patches = PatchLayout(((size // 2, 3),)) if dense else None
    return ColourEncoder(name=name, dimension=3 * parts**2, patches=patches, input_size=size, parts=parts)


@contextmanager
def colour_encoders() -> Iterator[set[str]]:
    """Encoders `colour-<parts>` are known. Yields the names of those that cannot be had, none at first."""
    missing: set[str] = set()

    def make(wanted: Wanted) -> ColourEncoder:
        if wanted.name in missing:
            raise LearningError(f"The weights of {wanted.name} cannot be fetched: connect this machine.")
        encoder = colour_encoder(wanted.name, dense=wanted.dense, parts=int(wanted.name.removeprefix("colour-")))
        return replace(encoder, input_size=wanted.input_size or 128)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, "colour-", make)
        yield missing
