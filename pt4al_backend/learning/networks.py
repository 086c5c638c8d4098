"""The two networks, and the way between a module and a `Weights` value.

Both give one pooled vector per stage: the last feeds the classifier, the last three are the
features a head is fitted on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.resnet import BasicBlock, ResNet

from pt4al_backend.learning.types import Arrays, LearningError, Weights

_MAP_SIDE = 32
"""The stem of ResNet9 brings any image to feature maps of at most this side."""
_COUNTER = "num_batches_tracked"
"""BatchNorm counts its steps; with a fixed momentum nothing reads the count, so it is not kept."""


class ResNet9(nn.Module):
    """Nine layers after D. Page's DAWNBench network; the cost hardly depends on the image size.

    The stem's stride grows with the image, so that what follows always sees about 32 x 32.
    """

    def __init__(self, *, width: int, image_size: int, outputs: int) -> None:
        super().__init__()
        stride = math.ceil(image_size / _MAP_SIDE)
        self.stem = _convolution(3, width, kernel=2 * stride + 1, stride=stride)
        self.stage1 = nn.Sequential(_convolution(width, 2 * width), nn.MaxPool2d(2), _Residual(2 * width))
        self.stage2 = nn.Sequential(_convolution(2 * width, 4 * width), nn.MaxPool2d(2))
        self.stage3 = nn.Sequential(_convolution(4 * width, 8 * width), nn.MaxPool2d(2), _Residual(8 * width))
        self.fc = nn.Linear(8 * width, outputs)
        self.feature_size = (2 + 4 + 8) * width

    def pooled(self, x: Tensor) -> list[Tensor]:
        """(n, 3, S, S) -> the averaged maps of the last three stages, each (n, channels)."""
        x = self.stem(x)
        maps = []
        for stage in (self.stage1, self.stage2, self.stage3):
            x = stage(x)
            maps.append(x.mean(dim=(2, 3)))
        return maps

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.pooled(x)[-1])
        return logits


class ResNet18(ResNet):
    """torchvision's ResNet-18, key names included, with stems for small images.

    `kernel` 3 is the stem of the published code (3 x 3, stride 1, no pooling). `kernel` 7 is
    ImageNet's; up to 64 pixels without its pooling, so that the last maps keep 2 x 2 pixels.
    """

    def __init__(self, *, kernel: int, image_size: int, outputs: int) -> None:
        super().__init__(BasicBlock, [2, 2, 2, 2], num_classes=outputs)
        if kernel == 3:
            self.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        if image_size <= 64:
            self.maxpool = nn.Identity()
        self.feature_size = 128 + 256 + 512

    def pooled(self, x: Tensor) -> list[Tensor]:
        """(n, 3, S, S) -> the averaged maps of the last three stages, each (n, channels)."""
        x = self.layer1(self.maxpool(self.relu(self.bn1(self.conv1(x)))))
        maps = []
        for stage in (self.layer2, self.layer3, self.layer4):
            x = stage(x)
            maps.append(x.mean(dim=(2, 3)))
        return maps

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc(self.pooled(x)[-1])
        return logits


Network = ResNet9 | ResNet18


def network_spec(network: str, *, width: int, image_size: int, outputs: int, kernel: int = 3) -> dict[str, Any]:
    """The JSON that `build` makes a network from; `width` is used by resnet9, `kernel` by resnet18."""
    return {
        "network": network,
        "width": width,
        "kernel": kernel,
        "image_size": image_size,
        "outputs": outputs,
    }


def build(spec: Mapping[str, Any]) -> Network:
    """The network a spec describes, without values (on torch's meta device)."""
    with torch.device("meta"):
        if spec["network"] == "resnet9":
            return ResNet9(width=spec["width"], image_size=spec["image_size"], outputs=spec["outputs"])
        if spec["network"] == "resnet18":
            return ResNet18(kernel=spec["kernel"], image_size=spec["image_size"], outputs=spec["outputs"])
    raise LearningError(f"The network {spec['network']!r} is unknown: choose resnet9 or resnet18.")


def initialised(spec: Mapping[str, Any], *, generator: torch.Generator) -> Network:
    """A network with random values from `generator` alone (He et al. 2015), on the CPU."""
    network = build(spec).to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.in_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.zeros_(module.bias)
    return network


def to_weights(network: nn.Module, spec: Mapping[str, Any]) -> Weights:
    return Weights(to_arrays(network), dict(spec))


def to_arrays(network: nn.Module) -> Arrays:
    """Copies of all values of a network, by name."""
    state = network.state_dict()
    return {name: _copied(tensor) for name, tensor in state.items() if not name.endswith(_COUNTER)}


def load_arrays(network: nn.Module, arrays: Arrays, *, head: bool = True) -> None:
    """Put `arrays` into `network`; without `head` the classifier keeps what it has.

    Raises:
        LearningError: names or shapes are not those of the network.
    """
    state = {name: torch.tensor(array) for name, array in arrays.items()}
    if not head:
        own = network.state_dict()
        state = {name: own[name] if name.startswith("fc.") else value for name, value in state.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        raise LearningError(f"The saved network does not fit: {error}. Train it anew.") from error


def for_inference(weights: Weights, device: str) -> Network:
    """The network of `weights`, in evaluation mode."""
    network = build(weights.spec).to_empty(device="cpu")
    load_arrays(network, weights.arrays)
    return network.eval().to(memory_format=torch.channels_last).to(device)


def feature_size(weights: Weights) -> int:
    """Length D of an image's feature vector."""
    return build(weights.spec).feature_size


def forward_flops(spec: Mapping[str, Any]) -> float:
    """Floating-point operations of one image's way through the network."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        build(spec).eval()(torch.empty(1, 3, spec["image_size"], spec["image_size"], device="meta"))
    return float(counter.get_total_flops())


def _copied(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().numpy().copy()


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
