"""Networks: a backbone and one head per output; conversion between modules and `Weights`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.backbones import BACKBONES, Backbone
from pt4al_backend.learning.heads import MaskHead, side_by_side
from pt4al_backend.learning.output_types import head_for, type_of
from pt4al_backend.learning.types import Arrays, Output, Weights

_COUNTER = "num_batches_tracked"
"""BatchNorm's count of steps; nothing reads it if the momentum is fixed, so it is not stored."""
_POOLED_STAGES = 3


class Network(nn.Module):
    """A backbone and one head per output."""

    def __init__(self, backbone: Backbone, outputs: Sequence[Output], *, image_size: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = nn.ModuleList(
            head_for(output, backbone.channels, side=mask_side(image_size)) for output in outputs
        )
        self.embedding_size = sum(backbone.channels[-_POOLED_STAGES:])

    def forward(self, x: Tensor) -> list[Tensor]:
        """(n, 3, S, S) -> each output's logits: (n, classes), or (n, classes, m, m) for a segmentation."""
        maps = self.backbone(x)
        return [head(maps) for head in self.heads]

    def pooled(self, maps: Sequence[Tensor]) -> Tensor:
        """The averaged maps of the last three stages, concatenated: (n, embedding_size)."""
        return torch.cat([stage.mean(dim=(2, 3)) for stage in maps[-_POOLED_STAGES:]], dim=1)

    def pixel_features(self, maps: Sequence[Tensor]) -> Tensor:
        """The features of every pixel at the first stage's resolution: (n, F, s, s).

        With a mask head, the inputs of its classifiers; otherwise all stages, concatenated.
        """
        for head in self.heads:
            if isinstance(head, MaskHead):
                return head.features(maps)
        return side_by_side(maps)


def mask_side(image_size: int) -> int:
    """Side m of masks: half the side of the image."""
    return image_size // 2


def network_spec(
    network: str,
    *,
    width: int,
    image_size: int,
    outputs: Sequence[Output],
    kernel: int = 3,
    dense: bool = False,
) -> dict[str, Any]:
    """The JSON that `build` makes a network from.

    Args:
        network: a name in `BACKBONES`.
        width: channels of the stem; used by resnet9.
        image_size: side of the images in pixels.
        outputs: what the network predicts.
        kernel: size of the stem's kernel; used by resnet18.
        dense: for pixel-level outputs. resnet9 keeps finer maps, since its usual ones are too coarse; resnet18 gets
            ImageNet's stem, without which larger images cost too much.
    """
    return {
        "network": network,
        "width": width,
        "kernel": 7 if dense else kernel,
        "image_size": image_size,
        "dense": dense,
        "outputs": [asdict(output) for output in outputs],
    }


def build(spec: Mapping[str, Any]) -> Network:
    """The network a spec describes, without values (on torch's meta device).

    Raises:
        LearningError: the spec does not come from `network_spec`.
    """
    if not isinstance(spec.get("outputs"), list):
        raise LearningError("The saved network was written by another version of this program. Train it again.")
    outputs = [Output(each["kind"], each["classes"]) for each in spec["outputs"]]
    if sum(type_of(output).dense for output in outputs) > 1:
        raise LearningError("A network can learn only one segmentation: put the labels of all segmentations into one.")
    if spec["network"] not in BACKBONES:
        raise LearningError(f"The network {spec['network']!r} is unknown: choose {' or '.join(BACKBONES)}.")
    with torch.device("meta"):
        return Network(BACKBONES[spec["network"]](spec), outputs, image_size=spec["image_size"])


def initialised(spec: Mapping[str, Any], *, generator: torch.Generator) -> Network:
    """A network with random values from `generator` alone (He et al. 2015), on the CPU."""
    network = build(spec).to_empty(device="cpu")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        elif isinstance(module, nn.Conv2d) and module.bias is None:
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:  # a classifier
            bound = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
            nn.init.zeros_(module.bias)
    return network


def to_weights(network: nn.Module, spec: Mapping[str, Any]) -> Weights:
    return Weights(to_arrays(network), dict(spec))


def to_arrays(network: nn.Module) -> Arrays:
    """Copies of all parameters and buffers of a network, by name."""
    state = network.state_dict()
    return {name: _copied(tensor) for name, tensor in state.items() if not name.endswith(_COUNTER)}


def load_arrays(network: nn.Module, arrays: Arrays) -> None:
    """Load `arrays` into `network`.

    Raises:
        LearningError: the names or shapes do not match the network.
    """
    try:
        network.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    except RuntimeError as error:
        raise LearningError(f"The saved network does not fit: {error}. Train it again.") from error


def load_backbone(network: Network, arrays: Arrays) -> None:
    """Load the backbone of another network's `arrays` into `network`, whose heads stay unchanged.

    Raises:
        LearningError: the names or shapes do not match the network.
    """
    heads = {name: array for name, array in to_arrays(network).items() if not name.startswith("backbone.")}
    load_arrays(network, heads | {name: array for name, array in arrays.items() if name.startswith("backbone.")})


def for_inference(weights: Weights, device: str) -> Network:
    """The network of `weights`, in evaluation mode."""
    network = build(weights.spec).to_empty(device="cpu")
    load_arrays(network, weights.arrays)
    return network.eval().to(memory_format=torch.channels_last).to(device)


def embedding_size(spec: Mapping[str, Any]) -> int:
    """Length D of an image's embedding."""
    return build(spec).embedding_size


def pixel_shape(spec: Mapping[str, Any]) -> tuple[int, int]:
    """Side s of the first stage's maps, and length F of a pixel's features."""
    network = build(spec).eval()
    with torch.inference_mode():
        features = network.pixel_features(network.backbone(_one_image(spec)))
    return features.shape[-1], features.shape[1]


def forward_flops(spec: Mapping[str, Any]) -> float:
    """Floating-point operations of one image's forward pass."""
    return _forward_flops(json.dumps(spec))


@cache  # counting takes longer than computing a few images
def _forward_flops(spec_json: str) -> float:
    spec = json.loads(spec_json)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        build(spec).eval()(_one_image(spec))
    return float(counter.get_total_flops())


def _one_image(spec: Mapping[str, Any]) -> Tensor:
    return torch.empty(1, 3, spec["image_size"], spec["image_size"], device="meta")


def _copied(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().numpy().copy()
