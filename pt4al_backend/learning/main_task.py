"""The main task: the network that learns what the labels are for. Here: one class per image."""

from __future__ import annotations

import math
from collections.abc import Generator

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.learning.inputs import INIT, Pixels, generator
from pt4al_backend.learning.networks import Network, initialised, load_arrays, network_spec, to_weights
from pt4al_backend.learning.recipes import MainRecipe, images_per_step
from pt4al_backend.learning.training import Training
from pt4al_backend.learning.types import Images, Progress, Weights, check_targets


def train_main(
    images: Images,
    rows: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    classes: int,
    *,
    recipe: MainRecipe,
    init: Weights | None,
    seed: int,
    device: str,
) -> Generator[Progress, None, Weights]:
    """Train a fresh network on the labelled images; returns its weights.

    Args:
        rows: int64 (n,), the labelled images.
        targets: int64 (n,), their classes, each in [0, classes).
        init: weights to start from (the pretext network's, ImageNet's), which then also choose
            the network; None: the recipe's network from scratch.

    Raises:
        LearningError: no or impossible targets, `init` is from images of another size, or the
            training diverged.
    """
    check_targets(targets, classes, images=len(rows))
    if init is None:
        spec = network_spec(recipe.network, width=recipe.width, image_size=recipe.image_size, outputs=classes)
    else:
        spec = {**init.spec, "outputs": classes, "image_size": images.size}
    network = initialised(spec, generator=generator(seed, INIT))
    if init is not None:
        load_arrays(network, init.arrays, head=False)
    training = Training(network, recipe=recipe, images=len(rows), seed=seed, device=device)
    answers = torch.from_numpy(np.array(targets, dtype=np.int64)).to(device)

    def loss(network: Network, inputs: Tensor, positions: npt.NDArray[np.int64], random: torch.Generator) -> Tensor:
        own = answers[positions]
        if not recipe.mixup:
            return F.cross_entropy(network(inputs), own, reduction="none")
        other = torch.randperm(len(own), generator=random).to(inputs.device)
        share = math.sin(math.pi / 2 * torch.rand((), generator=random).item()) ** 2  # of Beta(1/2, 1/2)
        logits = network(share * inputs + (1 - share) * inputs[other])
        losses = share * F.cross_entropy(logits, own, reduction="none")
        return losses + (1 - share) * F.cross_entropy(logits, own[other], reduction="none")

    chunk = images_per_step(spec, device=device, inputs_per_image=1, training=True)
    yield from training.run(Pixels(images, rows, device), loss, chunk=chunk)
    return to_weights(training.network, spec)
