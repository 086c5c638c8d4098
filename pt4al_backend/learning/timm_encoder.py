"""Any network of timm as an encoder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.devices import is_cuda, one_thread
from pt4al_backend.learning.embedding import Encode, Encoder, Maps
from pt4al_backend.learning.inputs import Normalisation, normalised
from pt4al_backend.learning.openvino_network import Compute, on_cpu
from pt4al_backend.learning.patch_layout import PatchLayout
from pt4al_backend.learning.recipes import frozen_images

USUAL_SIZE = 224
"""Side in pixels of the images that most networks of timm were trained on."""
_FINEST_STRIDE = 4
"""Stride in pixels of the finest patch embeddings: finer maps only show edges, and cost memory."""
_MOST_CELLS = 48
"""Most cells per side that a stage is stored with."""
_STRIDE = 32
"""Stride in pixels of a convolutional network's last maps."""

_UNKNOWN = "timm has no network {!r}: choose one of timm's names, or write NETWORK@FILE.safetensors for a file."

ReadTensors = Callable[[], Mapping[str, Tensor]]
"""Reads the tensors of a network by name."""


@dataclass(frozen=True, kw_only=True)
class TimmEncoder(Encoder):
    """A network of timm. Its own pooling gives an image's embedding.

    Patch embeddings are the stages of a convolutional network, or the last tokens of a transformer.
    """

    architecture: str
    """The network's name in timm."""
    tensors: ReadTensors
    """Reads its weights."""
    network: Callable[[], nn.Module]
    """Makes the network, pixels uint8 (n, S, S, 3) -> embeddings and maps, when it is needed."""
    flops: float
    """Floating-point operations of one image's forward pass."""
    _loaded: dict[str, Encode] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By device."""

    def load(self, device: str) -> Encode:
        if device not in self._loaded:
            network = self.network()
            on_device = _on_gpu(network, device) if is_cuda(device) else self._on_cpu(network)
            self._loaded[device] = lambda pixels: _pair(on_device(pixels))
        return self._loaded[device]

    def module(self) -> nn.Module:
        return self.network()

    def images_per_step(self, device: str) -> int:
        return frozen_images(self.flops, dense=self.patches is not None, device=device)

    def _on_cpu(self, network: nn.Module) -> Compute:
        return on_cpu(network, name=self.name, size=self.input_size)


class _Features(nn.Module):
    """Pixels uint8 (n, S, S, 3) -> embeddings (n, D) and, of a dense one, the maps (n, c, s, s) of its stages."""

    def __init__(self, model: Any, stages: list[int] | None) -> None:
        """`stages`: which of the network's intermediate maps are patch embeddings, the finest first; None: no maps."""
        super().__init__()
        self.model, self._stages = model, stages
        self._normalisation = Normalisation(model.pretrained_cfg["mean"], model.pretrained_cfg["std"])

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        images = normalised(pixels, self._normalisation)
        if self._stages is None:
            return (self._pooled(self.model.forward_features(images)),)
        last, maps = self.model.forward_intermediates(images, indices=self._stages, norm=True, output_fmt="NCHW")
        return self._pooled(last), *maps

    def _pooled(self, last: Tensor) -> Tensor:
        return pooled(self.model, last)


@one_thread()
def timm_encoder(
    name: str, architecture: str, tensors: ReadTensors, *, dense: bool, input_size: int = 0
) -> TimmEncoder:
    """A network of timm as an encoder.

    Args:
        name: of the encoder.
        architecture: the network's name in timm.
        tensors: reads its weights.
        dense: whether it gives patch embeddings.
        input_size: side of its inputs in pixels, rounded to what it can see. 0: as it was trained, up to 224.

    Raises:
        LearningError: timm has no such network, it has no patch embeddings, or the weights are those of another one.
    """
    model = timm_network(architecture, tensors())
    config = model.pretrained_cfg
    size = _resized(model, input_size or min(config["input_size"][1], USUAL_SIZE))
    stages = _stages(model, architecture, size) if dense else None
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        embeddings, *maps = _Features(model, stages)(torch.zeros(1, size, size, 3, dtype=torch.uint8))

    def network() -> nn.Module:
        again = timm_network(architecture, tensors())
        _resized(again, size)
        return _Features(again, stages).eval()

    return TimmEncoder(
        name=name,
        dimension=embeddings.shape[1],
        patches=PatchLayout.of(maps, most=_MOST_CELLS) if maps else None,
        input_size=size,
        architecture=architecture,
        tensors=tensors,
        network=network,
        flops=float(counter.get_total_flops()),
    )


def pooled(model: Any, last: Tensor) -> Tensor:
    """Embeddings (n, D) from the features that a network of timm gives.

    Of length 1: how long they are says little about classes, and misleads linear probes on few labels.
    """
    return nn.functional.normalize(model.forward_head(last, pre_logits=True), dim=1)


def pretrained_config(architecture: str) -> dict[str, Any]:
    """What timm knows about the published weights of a network: `hf_hub_id`, `input_size`, `license` …

    Raises:
        LearningError: timm has no such network.
    """
    import timm

    try:
        known: Any = timm.models.get_pretrained_cfg(architecture, allow_unregistered=False)
    except RuntimeError as error:
        raise LearningError(_UNKNOWN.format(architecture)) from error
    config: dict[str, Any] = known.to_dict()
    return config


def timm_network(architecture: str, tensors: Mapping[str, Tensor]) -> Any:
    """A network of timm without its classifier, frozen and in evaluation mode.

    Raises:
        LearningError: timm has no such network, or the weights are those of another one.
    """
    import timm

    try:
        model: Any = timm.create_model(architecture, num_classes=0)
    except RuntimeError as error:  # timm raises it for unknown names
        raise LearningError(_UNKNOWN.format(architecture)) from error
    try:
        missing, _ = model.load_state_dict(tensors, strict=False)  # a classifier is ignored
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise LearningError(f"The weights are not those of {architecture}: {reason}") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise LearningError(f"The weights are not those of {architecture}: {missing[0]} is missing.")
    return model.eval().requires_grad_(False)


def _resized(model: Any, size: int) -> int:
    """Let the network see images of about that side, and return the side: a multiple of its patches or its stride."""
    patch = getattr(getattr(model, "patch_embed", None), "patch_size", None)
    unit = patch[0] if patch and model.pretrained_cfg.get("fixed_input_size") else _STRIDE
    _, native, _ = model.pretrained_cfg["input_size"]
    size = max(unit, round(size / unit) * unit)
    if size == native:
        return size
    if hasattr(model, "set_input_size"):
        model.set_input_size(img_size=(size, size))
        return size
    return native if model.pretrained_cfg.get("fixed_input_size") else size


def _stages(model: Any, architecture: str, size: int) -> list[int]:
    """Which intermediate maps become patch embeddings: the last of each resolution that is not too fine."""
    if not hasattr(model, "forward_intermediates"):
        raise LearningError(f"timm gives no patch embeddings of {architecture}, which segmentation needs: use another.")
    with torch.inference_mode():
        _, maps = model.forward_intermediates(torch.zeros(1, 3, size, size), norm=True, output_fmt="NCHW")
    last = {each.shape[-1]: stage for stage, each in enumerate(maps)}
    finest = math.ceil(size / _FINEST_STRIDE)
    return [last[side] for side in sorted(last, reverse=True) if side <= finest]


def _on_gpu(network: nn.Module, device: str) -> Compute:
    network = network.to(device).to(memory_format=torch.channels_last)

    def compute(pixels: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            outputs = network(pixels)  # channels last, as pixels are
        return tuple(output.float() for output in outputs)

    return compute


def _pair(outputs: tuple[Tensor, ...]) -> tuple[Tensor, Maps | None]:
    return outputs[0], outputs[1:] or None
