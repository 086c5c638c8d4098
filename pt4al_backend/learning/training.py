"""The training loop that both tasks share: a generator that can be interrupted and resumed at any step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.cuda_graphs import Graphs
from pt4al_backend.learning.devices import computing, is_cuda, sent
from pt4al_backend.learning.inputs import (
    AUGMENT,
    ORDER,
    Colours,
    Crop,
    Pixels,
    cut,
    generator,
    normalised,
    random_colours,
    random_crop,
    recoloured,
)
from pt4al_backend.learning.networks import Network, load_arrays, to_arrays
from pt4al_backend.learning.recipes import TaskRecipe, steps_per_epoch
from pt4al_backend.learning.thread_choice import ThreadChoice
from pt4al_backend.learning.types import Arrays, Progress

_MOMENTUM = 0.9
_WARM_UP = 0.2
"""Fraction of a one-cycle schedule in which the learning rate rises."""


class Task(Protocol):
    """What a network is trained to do."""

    def loss_inputs(self, positions: npt.NDArray[np.int64], random: torch.Generator) -> list[Tensor]:
        """What the losses of the images at `positions` (n,) depend on besides the images, on the CPU."""

    def losses(self, network: Network, inputs: Tensor, crop: Crop | None, loss_inputs: list[Tensor]) -> Tensor:
        """Losses (n,) of augmented images (n, 3, S, S), which were cropped as `crop` says.

        They may depend only on tensors on the device: a GPU replays a recording of this computation.
        """


class Meter:
    """Turns counted images into `Progress`."""

    def __init__(self, *, images: int, epochs: int, before: int = 0) -> None:
        """An epoch has `images` images; `before` images were done before this process started."""
        self._images, self._epochs, self._before, self._seen = images, epochs, before, before
        self._since = time.monotonic()

    def add(self, images: int) -> Progress:
        self._seen += images
        rate = (self._seen - self._before) / max(time.monotonic() - self._since, 1e-9)
        total = self._images * self._epochs
        epoch = min(self._seen // self._images + 1, self._epochs)
        return Progress(self._seen / total, epoch, self._epochs, rate, (total - self._seen) / rate)


class Training:
    """A network in training: `step` is the number of steps done, `snapshot` holds the state to resume from."""

    def __init__(
        self, network: Network, task: Task, *, recipe: TaskRecipe, images: int, seed: int, device: str
    ) -> None:
        """`images` is the size of the training set."""
        self.network = network.to(memory_format=torch.channels_last).to(device).train()
        self.step = 0
        self._task, self._recipe, self._images, self._seed, self._device = task, recipe, images, seed, device
        self._epochs = recipe.epochs_for(images)
        self._per_epoch = steps_per_epoch(images, batch=recipe.batch)
        self._order = (-1, np.empty(0, dtype=np.int64))
        self._graphs = Graphs(self.network, self._add_gradients) if is_cuda(device) else None
        self._optimiser = torch.optim.SGD(
            self.network.parameters(),
            lr=recipe.learning_rate,
            momentum=_MOMENTUM,
            weight_decay=recipe.weight_decay,
            nesterov=recipe.nesterov,
            fused=is_cuda(device),
        )

    def run(
        self, pixels: Pixels, *, chunk: int, after_step: Callable[[], None] = lambda: None
    ) -> Generator[Progress, None, None]:
        """Train to the end, yielding after every `chunk` images or fewer.

        A batch larger than `chunk` is split into parts, and their gradients are summed.

        Raises:
            LearningError: the training diverged.
        """
        epoch, k = divmod(self.step, self._per_epoch)
        meter = Meter(images=self._images, epochs=self._epochs, before=epoch * self._images + self._start(k))
        threads = ThreadChoice.on(self._device)
        while self.step < self._epochs * self._per_epoch:
            batch = self._batch()
            parts = np.array_split(batch, math.ceil(len(batch) / chunk))
            for i, positions in enumerate(parts):
                with threads.step(len(positions)):
                    self._backward([pixels(positions), *self._drawn(positions, pixels.size, part=i)], batch=len(batch))
                if i == len(parts) - 1:
                    self._update()
                    after_step()
                yield meter.add(len(positions))
        if not all(parameter.isfinite().all() for parameter in self.network.parameters()):
            raise LearningError("The training diverged: its weights are no longer numbers. Use another seed.")

    def snapshot(self) -> Arrays:
        """The network's parameters and buffers and the optimiser's momentum, by name."""
        network = {f"network.{name}": array for name, array in to_arrays(self.network).items()}
        return network | {
            f"momentum.{name}": self._optimiser.state[parameter]["momentum_buffer"].cpu().numpy().copy()
            for name, parameter in self.network.named_parameters()
        }

    def resume(self, arrays: Arrays, *, step: int) -> None:
        """Resume from the snapshot that was taken after `step` steps."""
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

    def _drawn(self, positions: npt.NDArray[np.int64], size: int, *, part: int) -> list[Tensor]:
        """The random augmentation of a part of a batch and its loss inputs; `_add_gradients` unpacks them."""
        random = generator(self._seed, AUGMENT, self.step, part)
        drawn: list[Tensor] = []
        if self._recipe.augment:
            drawn += random_crop(len(positions), size, generator=random)
        if self._recipe.recolour:
            drawn += random_colours(len(positions), strength=self._recipe.recolour, generator=random)
        return drawn + self._task.loss_inputs(positions, random)

    def _backward(self, part: list[Tensor], *, batch: int) -> None:
        """Add the gradients of a part of a batch; the whole batch has `batch` images."""
        if self._graphs is not None and len(part[0]) == batch:
            self._graphs(part)
        else:
            self._add_gradients([sent(each, self._device) for each in part], batch=batch)

    def _add_gradients(self, part: Sequence[Tensor], *, batch: int | None = None) -> None:
        """Add the gradients of a batch or a part of one: images and the result of `_drawn`, all on the device."""
        images, *drawn = part
        crop = Crop(drawn.pop(0), drawn.pop(0)) if self._recipe.augment else None
        colours = Colours(drawn.pop(0), drawn.pop(0)) if self._recipe.recolour else None
        inputs = normalised(images if crop is None else cut(images, crop))
        if colours is not None:
            inputs = recoloured(inputs, colours)
        with computing(self._device, half=True):
            loss = self._task.losses(self.network, inputs, crop, drawn).sum() / (batch or len(images))
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
