"""Fine-tuning: the last blocks of a pretrained encoder are trained on labels, and the others stay as they are.

The frozen blocks see each image and its mirror image once. What they give is stored, so that an epoch costs a fraction
of one on pixels. The last blocks learn to suit the linear probes that were fitted on the embeddings as they were: first
the probe, then the network ("Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution", Kumar,
Raghunathan, Jones, Ma, Liang, ICLR 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.devices import computing, is_cuda, one_thread, sent
from pt4al_backend.learning.embedding import Encode, Encoder
from pt4al_backend.learning.inputs import AUGMENT, ORDER, Normalisation, generator, normalised
from pt4al_backend.learning.linear_probe import Head, fit_head
from pt4al_backend.learning.openvino_network import on_cpu
from pt4al_backend.learning.output_types import image_losses
from pt4al_backend.learning.targets import TargetReader, check_all
from pt4al_backend.learning.thread_choice import ThreadChoice
from pt4al_backend.learning.timm_encoder import TimmEncoder, pooled, timm_encoder, timm_network
from pt4al_backend.learning.training import Meter
from pt4al_backend.learning.types import Array, Arrays, Output, Progress

StoredMaps = npt.NDArray[np.float16]
"""(n, 2 x C x H x W): what the frozen blocks give of n images and of their mirror images."""

_LAYERS = ("conv_stem", "bn1", "blocks", "conv_head", "bn2")
"""The layers of networks that can be fine-tuned, timm's EfficientNets; `blocks` holds the stages."""
_STAGES = 1
"""How many of the stages are trained, with the layers behind them."""
_AT_A_TIME = 16
"""Images whose embeddings are computed between two yields."""


@dataclass(frozen=True)
class TuningRecipe:
    """How the last blocks are trained: AdamW, the learning rate up and down to zero once, and mixup."""

    batch: int = 16
    epochs: int = 20
    least_steps: int = 150
    """Small sets are trained for more epochs, to reach this many steps."""
    most_steps: int = 1500
    """Large sets are trained for fewer epochs, to stay below this many steps, but for at least one."""
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    warm_up: float = 0.2
    """Fraction of the steps in which the learning rate rises."""

    def epochs_for(self, images: int) -> int:
        """The number of epochs for this many images."""
        per_epoch = math.ceil(images / self.batch)
        return max(1, round(min(max(self.epochs * per_epoch, self.least_steps), self.most_steps) / per_epoch))


TUNING = TuningRecipe()


def is_tunable(encoder: Encoder) -> bool:
    """Whether the last blocks of an encoder can be trained: an EfficientNet of timm, for labels of whole images."""
    return isinstance(encoder, TimmEncoder) and encoder.patches is None and _has_layers(encoder.architecture)


@dataclass(frozen=True, kw_only=True)
class FrozenBlocks(Encoder):
    """The blocks of an encoder that stay as they are. The embedding of an image is a row of `StoredMaps`."""

    encoder: TimmEncoder
    _loaded: dict[str, Encode] = field(default_factory=dict, init=False, repr=False, compare=False)
    """By device."""

    def load(self, device: str) -> Encode:
        if device not in self._loaded:
            first = _First(_network(self.encoder)).eval()
            on_device = first.to(device) if is_cuda(device) else on_cpu(first, name=self.name, size=self.input_size)

            def encode(pixels: Tensor) -> tuple[Tensor, None]:
                (maps,) = on_device(torch.stack([pixels, pixels.flip(2)], dim=1).flatten(0, 1))
                return maps.reshape(len(pixels), -1), None

            self._loaded[device] = encode
        return self._loaded[device]

    def images_per_step(self, device: str) -> int:
        return max(1, self.encoder.images_per_step(device) // 2)


@one_thread()
def frozen_blocks(name: str, encoder: Encoder) -> FrozenBlocks:
    """The frozen blocks of an encoder for which `is_tunable` holds, as an encoder of that name."""
    known, size = _of_timm(encoder), encoder.input_size
    with torch.inference_mode():
        (maps,) = _First(_network(known))(torch.zeros(2, size, size, 3, dtype=torch.uint8))
    return FrozenBlocks(name=name, dimension=maps.numel(), patches=None, input_size=size, encoder=known)


def tuned_encoder(name: str, encoder: Encoder, arrays: Callable[[], Arrays]) -> Encoder:
    """An encoder whose last blocks have the tensors that `arrays` reads, as an encoder of that name."""
    known = _of_timm(encoder)
    return timm_encoder(
        name, known.architecture, lambda: _changed(known, arrays()), dense=False, input_size=known.input_size
    )


def fine_tune(
    encoder: Encoder,
    maps: StoredMaps,
    targets: Sequence[Array],
    outputs: Sequence[Output],
    *,
    seed: int,
    device: str,
    recipe: TuningRecipe = TUNING,
) -> Generator[Progress, None, Arrays]:
    """Train the last blocks on labelled images; returns their tensors under timm's names.

    Args:
        encoder: one for which `is_tunable` holds.
        maps: of n labelled images.
        targets: (n, ...) the labels for each output, negative where an image has none.
        outputs: what is predicted.
        seed: determines the result.
        device: `cpu`, `cuda` or `cuda:<n>`.
        recipe: how to train.

    Raises:
        LearningError: the targets are empty or invalid, or the training diverged.
    """
    check_all(targets, outputs, images=len(maps))
    last = _Last(_network(encoder)).to(memory_format=torch.channels_last).to(device)
    vectors = np.concatenate([*_embedded(last, maps, device)])
    probes = [_probe(vectors, *each) for each in zip(targets, outputs, strict=True)]
    task, trained = _Task(targets, outputs, probes, device), last.trained()
    optimiser = torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    n, epochs = len(maps), recipe.epochs_for(len(maps))
    per_epoch = math.ceil(n / recipe.batch)
    meter, threads = Meter(images=n, epochs=epochs), ThreadChoice.on(device)
    for epoch in range(epochs):
        order = torch.randperm(n, generator=generator(seed, ORDER, epoch))
        for k, positions in enumerate(order.tensor_split(per_epoch)):
            step = epoch * per_epoch + k
            done = (step + 0.5) / (epochs * per_epoch)
            rate = recipe.learning_rate * min(done / recipe.warm_up, (1 - done) / (1 - recipe.warm_up))
            optimiser.param_groups[0]["lr"] = rate
            with threads.step(len(positions)):
                random = generator(seed, AUGMENT, step)
                mirrored = torch.randint(2, positions.shape, generator=random)
                inputs = last.inputs(maps[positions.numpy()], mirrored.numpy(), device)
                with computing(device, half=True):
                    loss = task.loss(last, inputs, positions, random)
                optimiser.zero_grad()
                torch.autograd.backward(loss)
                optimiser.step()
            yield meter.add(len(positions))
    if not all(parameter.isfinite().all() for parameter in trained):
        raise LearningError("Fine-tuning diverged: the weights are no longer numbers. Use another seed.")
    return last.arrays()


def embed_maps(encoder: Encoder, arrays: Arrays, maps: StoredMaps, *, device: str) -> Iterator[npt.NDArray[np.float16]]:
    """Embeddings (k, D) of images by an encoder whose last blocks have the tensors in `arrays`, a few at a time."""
    yield from _embedded(
        _Last(_network(encoder, arrays)).to(memory_format=torch.channels_last).to(device), maps, device
    )


class _First(nn.Module):
    """The frozen blocks: pixels uint8 (n, S, S, 3) -> maps (n, C, H, W)."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self._normalisation = Normalisation(model.pretrained_cfg["mean"], model.pretrained_cfg["std"])

    def forward(self, pixels: Tensor) -> tuple[Tensor]:
        x = self.model.bn1(self.model.conv_stem(normalised(pixels, self._normalisation)))
        return (self.model.blocks[:-_STAGES](x),)


class _Last(nn.Module):
    """The last blocks: maps (n, C, H, W) -> embeddings (n, D). BatchNorm keeps its statistics: batches are small."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.eval()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(self._is_last(name))
        self._channels = next(each for each in self._blocks().modules() if isinstance(each, nn.Conv2d)).in_channels

    def forward(self, maps: Tensor) -> Tensor:
        return pooled(self.model, self.model.bn2(self.model.conv_head(self._blocks()(maps))))

    def inputs(self, maps: StoredMaps, mirrored: npt.NDArray[np.int64], device: str) -> Tensor:
        """StoredMaps (k, C, H, W) of images or, where `mirrored` (k,) is 1, of their mirror images."""
        side = math.isqrt(maps.shape[1] // (2 * self._channels))
        chosen = maps.reshape(-1, 2, self._channels, side, side)[np.arange(len(maps)), mirrored]
        values = torch.from_numpy(chosen.astype(np.float32))
        return sent(values.contiguous(memory_format=torch.channels_last), device)

    def trained(self) -> list[nn.Parameter]:
        """The parameters of the last blocks."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def arrays(self) -> Arrays:
        """Copies of the tensors of the last blocks, by timm's names."""
        return {
            name: tensor.detach().cpu().contiguous().numpy().copy()
            for name, tensor in self.model.state_dict().items()
            if self._is_last(name) and not name.endswith("num_batches_tracked")
        }

    def _blocks(self) -> Any:
        return self.model.blocks[-_STAGES:]

    def _is_last(self, name: str) -> bool:
        layer, number, *_ = name.split(".")
        return layer in ("conv_head", "bn2") or (layer == "blocks" and int(number) >= len(self.model.blocks) - _STAGES)


class _Task:
    """The loss on labels, of images that are mixed with others (mixup, Zhang et al., ICLR 2018), Beta(1/2, 1/2)."""

    def __init__(
        self, targets: Sequence[Array], outputs: Sequence[Output], probes: Sequence[Head | None], device: str
    ) -> None:
        """Outputs without a probe have no labels."""
        learnt = [each for each in zip(targets, outputs, probes, strict=True) if each[2] is not None]
        self._outputs = [output for _, output, _ in learnt]
        self._readers = [TargetReader(labels, output, side=0) for labels, output, _ in learnt]
        self._probes = [
            (torch.from_numpy(head.weight).to(device), torch.from_numpy(head.bias).to(device))
            for *_, head in learnt
            if head is not None
        ]
        self._device = device

    def loss(self, last: nn.Module, maps: Tensor, positions: Tensor, random: torch.Generator) -> Tensor:
        """The mean loss of images with these maps (k, C, H, W), at `positions` (k,) in the targets."""
        partner = torch.randperm(len(positions), generator=random)
        share = math.sin(math.pi / 2 * torch.rand((), generator=random).item()) ** 2
        vectors = last(share * maps + (1 - share) * maps[sent(partner, self._device)])
        logits = [vectors @ weight + bias for weight, bias in self._probes]
        return (share * self._losses(logits, positions) + (1 - share) * self._losses(logits, positions[partner])).mean()

    def _losses(self, logits: Sequence[Tensor], positions: Tensor) -> Tensor:
        targets = [sent(read(positions.numpy()), self._device) for read in self._readers]
        return image_losses(self._outputs, logits, targets, [None] * len(targets))


def _embedded(last: _Last, maps: StoredMaps, device: str) -> Iterator[npt.NDArray[np.float16]]:
    for start in range(0, len(maps), _AT_A_TIME):
        part = maps[start : start + _AT_A_TIME]
        with torch.inference_mode(), one_thread():
            values = last(last.inputs(part, np.zeros(len(part), np.int64), device)).half().cpu().numpy()
        yield values


def _probe(vectors: npt.NDArray[np.float16], labels: Array, output: Output) -> Head | None:
    """The linear probe on the embeddings as they are; None if no image has a label."""
    answered = np.flatnonzero((labels >= 0) if labels.ndim == 1 else (labels >= 0).all(axis=1))
    if not len(answered):
        return None
    given: npt.NDArray[np.integer] = labels[answered].astype(np.int64 if labels.ndim == 1 else np.int8)
    return fit_head(vectors[answered], given, output, pool=vectors)


@cache
def _has_layers(architecture: str) -> bool:
    import timm

    with torch.device("meta"):
        model: Any = timm.create_model(architecture, num_classes=0)
    return all(hasattr(model, layer) for layer in _LAYERS)


def _network(encoder: Encoder, arrays: Arrays | None = None) -> Any:
    known = _of_timm(encoder)
    return timm_network(known.architecture, _changed(known, arrays or {}))


def _changed(encoder: TimmEncoder, arrays: Arrays) -> dict[str, Tensor]:
    """The tensors of a network, with others for those in `arrays`."""
    return {**encoder.tensors(), **{name: torch.from_numpy(array) for name, array in arrays.items()}}


def _of_timm(encoder: Encoder) -> TimmEncoder:
    if not isinstance(encoder, TimmEncoder):
        raise LearningError(f"The encoder {encoder.name} cannot be fine-tuned: use an EfficientNet of timm.")
    return encoder
