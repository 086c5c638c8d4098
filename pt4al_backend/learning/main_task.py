"""The main task: the network that learns what the labels are for."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pt4al_backend.learning.inputs import INIT, Crop, Pixels, generator
from pt4al_backend.learning.losses import class_weights
from pt4al_backend.learning.networks import (
    Network,
    initialised,
    load_backbone,
    mask_side,
    network_spec,
    to_weights,
)
from pt4al_backend.learning.output_types import image_losses
from pt4al_backend.learning.recipes import MainRecipe, images_per_step
from pt4al_backend.learning.targets import Answers, check_all
from pt4al_backend.learning.training import Training
from pt4al_backend.learning.types import IGNORE, Images, Output, Progress, Targets, Weights

_MASKS_AT_ONCE = 64


def train_main(
    images: Images,
    rows: npt.NDArray[np.int64],
    outputs: Sequence[Output],
    targets: Sequence[Targets],
    *,
    recipe: MainRecipe,
    init: Weights | None,
    seed: int,
    device: str,
) -> Generator[Progress, None, Weights]:
    """Train a fresh network on the labelled images; returns its weights.

    Args:
        rows: int64 (n,), the labelled images.
        targets: each output's answers; position k belongs to rows[k].
        init: weights whose backbone to start from (the pretext network's, ImageNet's), which then
            also choose the network; None: the recipe's network from scratch.

    Raises:
        LearningError: no or impossible targets, `init` is from images of another size, or the
            training diverged.
    """
    check_all(targets, outputs, images=len(rows))
    if init is None:
        spec = network_spec(
            recipe.network, width=recipe.width, image_size=recipe.image_size, dense=recipe.dense, outputs=outputs
        )
    else:
        own = {"image_size": images.size, "dense": recipe.dense, "outputs": [asdict(output) for output in outputs]}
        spec = init.spec | own
    network = initialised(spec, generator=generator(seed, INIT))
    if init is not None:
        load_backbone(network, init.arrays)
    task = _Answering(len(rows), outputs, targets, recipe=recipe, side=mask_side(images.size), device=device)
    training = Training(network, task, recipe=recipe, images=len(rows), seed=seed, device=device)
    chunk = images_per_step(spec, device=device, inputs_per_image=1, training=True)
    yield from training.run(Pixels(images, rows, device), chunk=chunk)
    return to_weights(training.network, spec)


class _Answering:
    """The main task: to say of each image what people said."""

    def __init__(
        self,
        images: int,
        outputs: Sequence[Output],
        targets: Sequence[Targets],
        *,
        recipe: MainRecipe,
        side: int,
        device: str,
    ) -> None:
        pairs = list(zip(targets, outputs, strict=True))
        self._outputs, self._mixup = outputs, recipe.mixup
        self._answers = [Answers(target, output, side=side) for target, output in pairs]
        self._weights = [_weights(target, output, images, recipe.balance, device) for target, output in pairs]

    def answers(self, positions: npt.NDArray[np.int64], random: torch.Generator) -> list[Tensor]:
        own = [answers(positions) for answers in self._answers]
        if not self._mixup:
            return own
        other = torch.randperm(len(positions), generator=random)
        share = math.sin(math.pi / 2 * torch.rand((), generator=random).item()) ** 2  # of Beta(1/2, 1/2)
        return [*own, other, torch.tensor(share, dtype=torch.float64)]

    def losses(self, network: Network, inputs: Tensor, crop: Crop | None, answers: list[Tensor]) -> Tensor:
        given = answers[: len(self._answers)]
        own = [each.cut(values, crop) for each, values in zip(self._answers, given, strict=True)]
        if not self._mixup:
            return image_losses(self._outputs, network(inputs), own, self._weights)
        other, share = answers[len(self._answers) :]
        logits = network(share * inputs + (1 - share) * inputs[other])
        losses = share * image_losses(self._outputs, logits, own, self._weights)
        others = [answer[other] for answer in own]
        return losses + (1 - share) * image_losses(self._outputs, logits, others, self._weights)


def _weights(target: Targets, output: Output, images: int, balance: float, device: str) -> Tensor | None:
    """The weight of each class's pixels, where they are not all alike."""
    if isinstance(target, np.ndarray) or not balance:
        return None
    counts = np.zeros(IGNORE + 1)
    for start in range(0, images, _MASKS_AT_ONCE):
        masks = target.read(np.arange(start, min(start + _MASKS_AT_ONCE, images)))
        counts += np.bincount(masks.reshape(-1), minlength=IGNORE + 1)
    own = torch.from_numpy(counts[: output.classes] / max(counts[: output.classes].sum(), 1)).float()
    return class_weights(own, balance=balance).to(device) if own.any() else None
