"""Any network of timm as an encoder."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.embedding import Encode, Encoder, grid_of
from pt4al_backend.learning.heads import side_by_side
from pt4al_backend.learning.inputs import Normalisation
from pt4al_backend.learning.recipes import affordable_images

_FINEST_STRIDE = 4
"""Stride in pixels of the finest patch embeddings: finer maps only show edges, and cost memory."""


@dataclass(frozen=True, kw_only=True)
class TimmEncoder(Encoder):
    """A network of timm. Its own pooling gives an image's embedding.

    Patch embeddings are the concatenated stages of a convolutional network, or the last tokens of a transformer.
    """

    model: nn.Module
    flops: float
    """Floating-point operations of one image's forward pass."""

    def load(self, device: str) -> Encode:
        model = self.model.to(device)
        return lambda inputs: _encode(model, inputs, dense=self.grid is not None)

    def images_per_step(self, device: str) -> int:
        return affordable_images(self.flops, dense=self.grid is not None, device=device)


def timm_encoder(name: str, *, dense: bool) -> TimmEncoder:
    """The network `timm:NAME` with the weights that timm publishes, or `timm:NAME@FILE` with those in a file.

    Raises:
        LearningError: timm is not installed or has no such network, or the weights cannot be loaded.
    """
    architecture, _, file = name.removeprefix("timm:").partition("@")
    if find_spec("timm") is None:
        raise LearningError(f"The encoder {name} comes from timm, which is not installed: pip install timm.")
    model = _model(architecture, Path(file).expanduser() if file else None)
    _, size, _ = model.pretrained_cfg["input_size"]
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        embeddings, maps = _encode(model, torch.zeros(1, 3, size, size), dense=dense)
    return TimmEncoder(
        name=name,
        dimension=embeddings.shape[1],
        grid=None if maps is None else grid_of(maps.shape[-1], maps.shape[1]),
        input_size=size,
        normalisation=Normalisation(model.pretrained_cfg["mean"], model.pretrained_cfg["std"]),
        model=model,
        flops=float(counter.get_total_flops()),
    )


def _model(architecture: str, file: Path | None) -> Any:
    import timm

    try:
        model: Any = timm.create_model(architecture, num_classes=0)
    except RuntimeError as error:  # timm raises it for unknown names
        raise LearningError(f"timm has no network {architecture!r} ({error}): choose one of timm's names.") from error
    _load(model, architecture, file or _published(architecture, model.pretrained_cfg))
    return model.eval().requires_grad_(False)


def _load(model: nn.Module, architecture: str, path: Path) -> None:
    try:
        missing, _ = model.load_state_dict(load_file(path), strict=False)  # a classifier is ignored
    except (OSError, SafetensorError, RuntimeError) as error:
        raise LearningError(f"{path} does not hold the weights of {architecture} as safetensors: {error}") from error
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    if missing:
        raise LearningError(f"{path} does not hold the weights of {architecture}: {missing[0]} is missing.")


def _published(architecture: str, config: dict[str, Any]) -> Path:
    """The weights that timm publishes, from the cache of huggingface_hub or downloaded into it."""
    from huggingface_hub import hf_hub_download

    if not config.get("hf_hub_id"):
        raise LearningError(f"timm publishes no weights for {architecture}: use timm:{architecture}@FILE.safetensors.")
    try:
        return Path(hf_hub_download(config["hf_hub_id"], "model.safetensors"))
    except Exception as error:  # errors of httpx, OSError, and the hub's own
        raise LearningError(
            f"The weights of {architecture} cannot be fetched ({type(error).__name__}): connect this machine to "
            f"huggingface.co, or use a file as timm:{architecture}@FILE.safetensors."
        ) from error


def _encode(model: Any, inputs: Tensor, *, dense: bool) -> tuple[Tensor, Tensor | None]:
    if not dense:
        return model.forward_head(model.forward_features(inputs), pre_logits=True), None
    last, maps = model.forward_intermediates(inputs, norm=True, output_fmt="NCHW")
    by_side = {each.shape[-1]: each for each in maps}  # the last map of each resolution
    finest = math.ceil(inputs.shape[-1] / _FINEST_STRIDE)
    chosen = [by_side[side] for side in sorted(by_side, reverse=True) if side <= finest]
    return model.forward_head(last, pre_logits=True), side_by_side(chosen)
