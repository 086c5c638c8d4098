"""Heads: one per output on a backbone, from the stages' maps to logits."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.lraspp import LRASPPHead

_GATED = 128
"""Channels of the last stage's maps in a mask head, as in torchvision's lraspp_mobilenet_v3_large."""


class ClassHead(nn.Module):
    """Logits (n, classes) of the last stage's averaged maps."""

    def __init__(self, channels: Sequence[int], classes: int, *, side: int) -> None:
        """`side` is ignored: there is no mask."""
        super().__init__()
        self.fc = nn.Linear(channels[-1], classes)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        logits: Tensor = self.fc(maps[-1].mean(dim=(2, 3)))
        return logits

    def classifier(self) -> tuple[Tensor, Tensor]:
        """Weight (classes, channels) and bias (classes,) on the averaged maps."""
        return self.fc.weight, self.fc.bias


class MaskHead(LRASPPHead):
    """Logits of every pixel: Lite R-ASPP on the first and the last stage (Howard et al., ICCV 2019, section 6.4).

    The layers are torchvision's. Both the classifiers and the upsampling between them are linear, so this class
    classifies the last stage before upsampling it: the same logits for less work.
    """

    def __init__(self, channels: Sequence[int], classes: int, *, side: int) -> None:
        super().__init__(channels[0], channels[-1], classes, _GATED)
        self._side = side

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """(n, classes, side, side)"""
        low = self.low_classifier(maps[0])
        high = self.high_classifier(self._gated(maps[-1]))
        return upsampled(low + upsampled(high, low.shape[-1]), self._side)

    def features(self, maps: Sequence[Tensor]) -> Tensor:
        """The inputs of both classifiers, concatenated: (n, F, s, s) at the first stage's resolution."""
        return side_by_side([maps[0], self._gated(maps[-1])])

    def classifier(self) -> tuple[Tensor, Tensor]:
        """Both classifiers as a single one on `features`: weight (classes, F), bias (classes,)."""
        low, high = self.low_classifier, self.high_classifier
        return torch.cat([low.weight, high.weight], dim=1).flatten(1), low.bias + high.bias

    def _gated(self, high: Tensor) -> Tensor:
        gated: Tensor = self.cbr(high) * self.scale(high)
        return gated


def side_by_side(maps: Sequence[Tensor]) -> Tensor:
    """Maps of several resolutions, concatenated at the resolution of the first."""
    side = maps[0].shape[-1]
    return torch.cat([upsampled(each, side) for each in maps], dim=1)


def upsampled(maps: Tensor, side: int) -> Tensor:
    """Maps (..., s, s) -> (..., side, side), bilinear.

    Computed as two matrix products: PyTorch's own kernel sums gradients in no fixed order on a GPU.
    """
    if maps.shape[-1] == side:
        return maps
    unit = torch.eye(maps.shape[-1], device=maps.device)
    weights = F.interpolate(unit[None], size=side, mode="linear")[0]
    return weights.T @ maps @ weights
