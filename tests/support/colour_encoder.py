"""The smallest encoder: the mean colour of an image, and of each pixel of a coarser one."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F

from pt4al_backend.learning import Encode, Encoder


@dataclass(frozen=True, kw_only=True)
class ColourEncoder(Encoder):
    step: int = 64

    def load(self, device: str) -> Encode:
        return lambda inputs: (inputs.mean(dim=(2, 3)), None if self.grid is None else F.avg_pool2d(inputs, 2))

    def images_per_step(self, device: str) -> int:
        return self.step


def colour_encoder(name: str, *, dense: bool, size: int = 8) -> ColourEncoder:
    return ColourEncoder(name=name, dimension=3, grid=(size // 2, 3) if dense else None, input_size=size)
