"""The main task: train a network on the labels."""

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
from pt4al_backend.learning.targets import TargetReader, check_all
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
    """Train a new network on the labelled images; returns its weights.

    Args:
        images: the pixels.
        rows: int64 (n,), the labelled images.
        outputs: what the network predicts.
        targets: the labels for each output; position k belongs to rows[k].
        recipe: the network and its training.
        init: weights whose backbone to start from (the pretext network's, ImageNet's), which then
            also determine the network; None: the recipe's network from scratch.
        seed: determines the result.
        device: `cpu`, `cuda` or `cuda:<n>`.

    Raises:
        LearningError: the targets are empty or invalid, `init` was trained on images of another size, or the
            training diverged.
    """
    check_all(targets, outputs, images=len(rows))
    if init is None:
        spec = network_spec(
            recipe.network, width=recipe.width, image_size=recipe.image_size, dense=recipe.dense, outputs=outputs
        )
    else:
        changes = {"image_size": images.size, "dense": recipe.dense, "outputs": [asdict(output) for output in outputs]}
        spec = init.spec | changes
    network = initialised(spec, generator=generator(seed, INIT))
    if init is not None:
        load_backbone(network, init.arrays)
    task = _MainTask(len(rows), outputs, targets, recipe=recipe, side=mask_side(images.size), device=device)
    training = Training(network, task, recipe=recipe, images=len(rows), seed=seed, device=device)
    chunk = images_per_step(spec, device=device, inputs_per_image=1, training=True)
    yield from training.run(Pixels(images, rows, device), chunk=chunk)
    return to_weights(training.network, spec)


class _MainTask:
    """The task of predicting each image's labels."""

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
        self._readers = [TargetReader(target, output, side=side) for target, output in pairs]
        self._weights = [_weights(target, output, images, recipe.balance, device) for target, output in pairs]

    def loss_inputs(self, positions: npt.NDArray[np.int64], random: torch.Generator) -> list[Tensor]:
        targets = [read(positions) for read in self._readers]
        if not self._mixup:
            return targets
        partner = torch.randperm(len(positions), generator=random)
        share = math.sin(math.pi / 2 * torch.rand((), generator=random).item()) ** 2  # drawn from Beta(1/2, 1/2)
        return [*targets, partner, torch.tensor(share, dtype=torch.float64)]

    def losses(self, network: Network, inputs: Tensor, crop: Crop | None, loss_inputs: list[Tensor]) -> Tensor:
        uncropped = loss_inputs[: len(self._readers)]
        targets = [reader.crop(values, crop) for reader, values in zip(self._readers, uncropped, strict=True)]
        if not self._mixup:
            return image_losses(self._outputs, network(inputs), targets, self._weights)
        partner, share = loss_inputs[len(self._readers) :]
        logits = network(share * inputs + (1 - share) * inputs[partner])
        losses = share * image_losses(self._outputs, logits, targets, self._weights)
        partner_targets = [target[partner] for target in targets]
        return losses + (1 - share) * image_losses(self._outputs, logits, partner_targets, self._weights)


def _weights(target: Targets, output: Output, images: int, balance: float, device: str) -> Tensor | None:
    """The weight (classes,) of each class's pixels; None if all pixels count alike."""
    if isinstance(target, np.ndarray) or not balance:
        return None
    counts = np.zeros(IGNORE + 1)
    for start in range(0, images, _MASKS_AT_ONCE):
        masks = target.read(np.arange(start, min(start + _MASKS_AT_ONCE, images)))
        counts += np.bincount(masks.reshape(-1), minlength=IGNORE + 1)
    shares = torch.from_numpy(counts[: output.classes] / max(counts[: output.classes].sum(), 1)).float()
    return class_weights(shares, balance=balance).to(device) if shares.any() else None
