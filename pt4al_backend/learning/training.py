"""The training loop both tasks share: a generator that can be left and taken up at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pt4al_backend.learning.devices import computing
from pt4al_backend.learning.inputs import (
    AUGMENT,
    ORDER,
    Crop,
    Pixels,
    cut,
    generator,
    normalised,
    random_crop,
    recoloured,
)
from pt4al_backend.learning.networks import Network, load_arrays, to_arrays
from pt4al_backend.learning.recipes import TaskRecipe, steps_per_epoch
from pt4al_backend.learning.types import Arrays, LearningError, Progress

_MOMENTUM = 0.9
_WARM_UP = 0.2
"""Share of a one-cycle schedule in which the learning rate rises."""


@dataclass(frozen=True)
class Part:
    """A batch, or as much of it as is computed at once."""

    inputs: Tensor
    """float32 (n, 3, S, S), augmented."""
    positions: npt.NDArray[np.int64]
    """(n,): which images they are."""
    crop: Crop | None
    """What was cut out of the images."""
    random: torch.Generator
    """For what else is drawn in this step."""


LossOf = Callable[[Network, Part], Tensor]
"""The images' losses (n,)."""


class Meter:
    """Turns counted images into `Progress`."""

    def __init__(self, *, images: int, epochs: int, before: int = 0) -> None:
        """`images` are in an epoch; `before` images were done before this process began."""
        self._images, self._epochs, self._before, self._seen = images, epochs, before, before
        self._since = time.monotonic()

    def add(self, images: int) -> Progress:
        self._seen += images
        rate = (self._seen - self._before) / max(time.monotonic() - self._since, 1e-9)
        total = self._images * self._epochs
        epoch = min(self._seen // self._images + 1, self._epochs)
        return Progress(self._seen / total, epoch, self._epochs, rate, (total - self._seen) / rate)


class Training:
    """A network being trained: `step` says how far it is, `snapshot` is all it takes to go on."""

    def __init__(self, network: Network, *, recipe: TaskRecipe, images: int, seed: int, device: str) -> None:
        self.network = network.to(memory_format=torch.channels_last).to(device).train()
        self.step = 0
        self._recipe, self._images, self._seed, self._device = recipe, images, seed, device
        self._epochs = recipe.epochs_for(images)
        self._per_epoch = steps_per_epoch(images, batch=recipe.batch)
        self._order = (-1, np.empty(0, dtype=np.int64))
        self._optimiser = torch.optim.SGD(
            self.network.parameters(),
            lr=recipe.learning_rate,
            momentum=_MOMENTUM,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
        )

    def run(
        self, pixels: Pixels, loss_of: LossOf, *, chunk: int, after_step: Callable[[], None] = lambda: None
    ) -> Generator[Progress, None, None]:
        """Train to the end, yielding after every `chunk` images or fewer.

        A batch larger than `chunk` is computed in parts whose gradients are added up.

        Raises:
            LearningError: the training diverged.
        """
        epoch, k = divmod(self.step, self._per_epoch)
        meter = Meter(images=self._images, epochs=self._epochs, before=epoch * self._images + self._start(k))
        while self.step < self._epochs * self._per_epoch:
            batch = self._batch()
            parts = np.array_split(batch, math.ceil(len(batch) / chunk))
            for i, positions in enumerate(parts):
                self._backward(pixels, loss_of, positions, part=i, batch=len(batch))
                if i == len(parts) - 1:
                    self._update()
                    after_step()
                yield meter.add(len(positions))
        if not all(parameter.isfinite().all() for parameter in self.network.parameters()):
            raise LearningError("The training diverged: its weights are no longer numbers. Use another seed.")

    def snapshot(self) -> Arrays:
        """The network's values and the optimiser's momentum, by name."""
        network = {f"network.{name}": array for name, array in to_arrays(self.network).items()}
        return network | {
            f"momentum.{name}": self._optimiser.state[parameter]["momentum_buffer"].cpu().numpy().copy()
            for name, parameter in self.network.named_parameters()
        }

    def resume(self, arrays: Arrays, *, step: int) -> None:
        """Go on from the snapshot that was taken after `step` steps."""
        network = {name.partition(".")[2]: a for name, a in arrays.items() if name.startswith("network.")}
        load_arrays(self.network, network)
        for name, parameter in self.network.named_parameters():
            momentum = torch.empty_like(parameter).copy_(torch.tensor(arrays[f"momentum.{name}"]))
            self._optimiser.state[parameter]["momentum_buffer"] = momentum
        self.step = step

    def _start(self, k: int) -> int:
        """Where batch k of an epoch begins: equal batches, so none is too small for BatchNorm."""
        return k * self._images // self._per_epoch

    def _batch(self) -> npt.NDArray[np.int64]:
        epoch, k = divmod(self.step, self._per_epoch)
        if self._order[0] != epoch:
            order = torch.randperm(self._images, generator=generator(self._seed, ORDER, epoch))
            self._order = (epoch, order.numpy())
        return self._order[1][self._start(k) : self._start(k + 1)]

    def _backward(
        self, pixels: Pixels, loss_of: LossOf, positions: npt.NDArray[np.int64], *, part: int, batch: int
    ) -> None:
        images = pixels(positions)
        random = generator(self._seed, AUGMENT, self.step, part)
        crop = random_crop(len(images), images.shape[1], generator=random) if self._recipe.augment else None
        inputs = normalised(images if crop is None else cut(images, crop))
        if self._recipe.recolour:
            inputs = recoloured(inputs, strength=self._recipe.recolour, generator=random)
        with computing(self._device, half=True):
            loss = loss_of(self.network, Part(inputs, positions, crop, random)).sum() / batch
        with computing(self._device, half=False):
            torch.autograd.backward(loss)

    def _update(self) -> None:
        for group in self._optimiser.param_groups:
            group["lr"] = self._recipe.learning_rate * self._factor()
        self._optimiser.step()
        self._optimiser.zero_grad()
        self.step += 1

    def _factor(self) -> float:
        """The learning rate of this step, as a fraction of the recipe's."""
        if self._recipe.drops is not None:
            epoch = self.step // self._per_epoch
            return 0.1 ** sum(epoch >= drop for drop in self._recipe.drops)
        done = (self.step + 0.5) / (self._epochs * self._per_epoch)
        return min(done / _WARM_UP, (1 - done) / (1 - _WARM_UP))
