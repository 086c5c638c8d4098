"""The two backbones: from images to the maps of their stages.

The last stage's maps feed the heads; linear probes are fitted on the averages of the last three.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, ResNet

_MAP_SIDE = 32
"""The stem of ResNet9 reduces any image to feature maps of at most this side."""
_DENSE_STRIDES = ((96, 1), (192, 2), (512, 4))
"""For pixel-level outputs: (images up to this side, stride)."""


class ResNet9(nn.Module):
    """Nine layers after D. Page's DAWNBench network; the cost hardly depends on the image size.

    The stem's stride grows with the image, so that the stages always see about 32 x 32 pixels, or about 96 x 96 if
    `dense`.
    """

    def __init__(self, *, width: int, image_size: int, dense: bool) -> None:
        super().__init__()
        stride = _dense_stride(image_size) if dense else math.ceil(image_size / _MAP_SIDE)
        self.stem = _convolution(3, width, kernel=2 * stride + 1, stride=stride)
        self.stage1 = nn.Sequential(_convolution(width, 2 * width), nn.MaxPool2d(2), _Residual(2 * width))
        self.stage2 = nn.Sequential(_convolution(2 * width, 4 * width), nn.MaxPool2d(2))
        self.stage3 = nn.Sequential(_convolution(4 * width, 8 * width), nn.MaxPool2d(2), _Residual(8 * width))
        self.channels = (2 * width, 4 * width, 8 * width)
        """Number of channels of each stage's maps."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """(n, 3, S, S) -> the stages' maps, each (n, channels, s, s), s falling by half."""
        x = self.stem(x)
        maps = []
        for stage in (self.stage1, self.stage2, self.stage3):
            x = stage(x)
            maps.append(x)
        return maps


class ResNet18(ResNet):
    """torchvision's ResNet-18, key names included, without its classifier and with stems for small images.

    `kernel` 3 is the stem of the published code (3 x 3, stride 1, no pooling). `kernel` 7 is ImageNet's; images of
    up to 64 pixels skip its pooling, so that the last maps keep 2 x 2 pixels.
    """

    def __init__(self, *, kernel: int, image_size: int) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2])
        del self.fc
        if kernel == 3:
            self.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        if image_size <= 64:
            self.maxpool = nn.Identity()
        self.channels = (64, 128, 256, 512)
        """Number of channels of each stage's maps."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """(n, 3, S, S) -> the stages' maps, each (n, channels, s, s), s falling by half."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        maps = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x)
        return maps


Backbone = ResNet9 | ResNet18

BACKBONES: dict[str, Callable[[Mapping[str, Any]], Backbone]] = {
    "resnet9": lambda spec: ResNet9(width=spec["width"], image_size=spec["image_size"], dense=spec["dense"]),
    "resnet18": lambda spec: ResNet18(kernel=spec["kernel"], image_size=spec["image_size"]),
}
"""Name of a network -> function that builds its backbone from a `network_spec`."""


def _dense_stride(image_size: int) -> int:
    return next((stride for largest, stride in _DENSE_STRIDES if image_size <= largest), _DENSE_STRIDES[-1][1])


def _convolution(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(_convolution(width, width), _convolution(width, width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out
