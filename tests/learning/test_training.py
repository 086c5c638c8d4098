"""The training loop, with an invented task whose steps are known."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from support.networks import finish, noise, single, small
from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.inputs import Crop, Pixels, generator
from pt4al_backend.learning.networks import Network, initialised, network_spec
from pt4al_backend.learning.training import Meter, Training

IMAGES, BATCH, EPOCHS = 20, 10, 3


class Squares:
    """A task that makes logits small; it records the images of each step."""

    def __init__(self) -> None:
        self.seen: list[list[int]] = []
        self.factor = 1.0

    def loss_inputs(self, positions: np.ndarray, random: torch.Generator) -> list[Tensor]:
        self.seen.append(sorted(positions.tolist()))
        return []

    def losses(self, network: Network, inputs: Tensor, crop: Crop | None, loss_inputs: list[Tensor]) -> Tensor:
        return self.factor * network(inputs)[0].square().sum(dim=1)


def training(task: Squares, **changes: Any) -> Training:
    recipe = replace(small(batch=BATCH, epochs=EPOCHS).pretext, least_steps=0, **changes)
    spec = network_spec(recipe.network, width=recipe.width, image_size=16, outputs=[single(3)])
    network = initialised(spec, generator=generator(0))
    return Training(network, task, recipe=recipe, images=IMAGES, seed=0, device="cpu")


def pixels() -> Pixels:
    return Pixels(noise(IMAGES), np.arange(IMAGES), "cpu")


def test_every_epoch_sees_every_image_once_in_a_different_order() -> None:
    task = Squares()
    finish(training(task).run(pixels(), chunk=BATCH))
    assert [len(batch) for batch in task.seen] == [BATCH] * 2 * EPOCHS
    for first, second in zip(task.seen[::2], task.seen[1::2], strict=True):
        assert sorted(first + second) == list(range(IMAGES))
    assert len({tuple(batch) for batch in task.seen}) > 2


def test_a_batch_may_be_computed_in_parts() -> None:
    task = Squares()
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    finish(training(task).run(pixels(), chunk=4, after_step=count))
    assert max(len(part) for part in task.seen) <= 4
    assert steps == 2 * EPOCHS


def test_a_training_resumes_from_a_snapshot_alone() -> None:
    undisturbed = training(Squares())
    finish(undisturbed.run(pixels(), chunk=BATCH))
    left = training(Squares())
    list(islice(left.run(pixels(), chunk=BATCH), 3))
    resumed = training(Squares())
    resumed.resume(left.snapshot(), step=left.step)
    finish(resumed.run(pixels(), chunk=BATCH))
    for name, array in undisturbed.snapshot().items():
        np.testing.assert_array_equal(resumed.snapshot()[name], array, err_msg=name)


def test_divergence_is_an_error() -> None:
    task = Squares()
    task.factor = float("inf")
    with pytest.raises(LearningError, match="diverged"):
        finish(training(task).run(pixels(), chunk=BATCH))


def test_a_meter_counts_from_where_the_process_began() -> None:
    meter = Meter(images=10, epochs=2, before=10)
    progress = meter.add(5)
    assert (progress.done, progress.epoch, progress.epochs) == (0.75, 2, 2)
    assert progress.eta_seconds == pytest.approx(5 / progress.images_per_second)
    assert meter.add(5).done == 1 and meter.add(0).epoch == 2
