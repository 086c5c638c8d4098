"""Every number of the two presets, in one place.

`paper` is the protocol of PT4AL (Yi et al., ECCV 2022) and its published code; `fast` keeps the wait short, on two CPU
cores or on a GPU.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.devices import is_cuda
from pt4al_backend.learning.networks import forward_flops

SIZES = (32, 48, 64, 96, 128, 224)
"""Possible image sides, in pixels."""
DENSE_SIZES = (32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Possible image sides for pixel-level outputs, in pixels."""

_CPU_FLOPS_PER_STEP = 40e9
"""Floating-point operations between two yields: about 0.3 s on two cores."""
_LEAST_INPUTS = 32
"""BatchNorm needs this many inputs for usable statistics, even if a step then takes longer."""
_CPU_IMAGES, _DENSE_CPU_IMAGES = 64, 16
"""At most this many images are embedded at a time on a CPU; the maps of a dense network take 6 MB for each."""
_GPU_INPUTS = 1024
"""Inputs of one inference step on a GPU, enough to keep it busy without filling its memory."""
_DENSE_GPU_INPUTS = 128
"""The same for pixel-level outputs, where images and maps are larger."""
_GPU_FLOPS_PER_STEP = 2.6e12
"""Limits the inputs when a single one is expensive, as large images are for ResNet-18.

Its maps then take about 15 GB in float32.
"""


@dataclass(frozen=True)
class TaskRecipe:
    """A network and how it is trained: SGD with momentum 0.9."""

    network: str
    width: int
    image_size: int
    batch: int
    """Images in a step of the optimiser; a pretext step sees each in four rotations."""
    epochs: int
    least_steps: int
    """Small sets are trained for more epochs, to reach this many steps."""
    most_steps: int
    """Large sets are trained for fewer epochs, to stay below this many steps, but for at least one."""
    learning_rate: float
    weight_decay: float
    nesterov: bool
    drops: tuple[int, ...] | None
    """Epochs after which the learning rate drops to a tenth; None: one cycle, up and down to zero."""
    augment: bool
    """Random crop and horizontal flip."""
    recolour: float = 0.0
    """Strength of random changes of contrast and colour."""
    dense: bool = False
    """Finer maps, for pixel-level outputs."""

    def epochs_for(self, images: int) -> int:
        """The number of epochs for a training set of this many `images`."""
        per_epoch = max(steps_per_epoch(images, batch=self.batch), 1)
        steps = min(max(self.epochs * per_epoch, self.least_steps), self.most_steps)
        return max(1, round(steps / per_epoch))


@dataclass(frozen=True)
class PretextRecipe(TaskRecipe):
    """How the rotation network is trained."""


@dataclass(frozen=True)
class MainRecipe(TaskRecipe):
    """How the main-task network is trained."""

    mixup: bool = False
    """Train on mixtures of two images and their labels (Zhang et al., ICLR 2018), Beta(1/2, 1/2)."""
    balance: float = 0.0
    """For segmentations: how much more a pixel of a rare class counts; 1: all classes count alike."""


@dataclass(frozen=True)
class Recipe:
    """The recipes of a preset on a device."""

    pretext: PretextRecipe
    main: MainRecipe


def recipes(preset: str, *, device: str, pool: int, image_size: int, dense: bool = False) -> Recipe:
    """The recipes of a preset.

    Args:
        preset: `fast` or `paper`.
        device: `cpu`, `cuda` or `cuda:<n>`.
        pool: number of images; determines the pretext epochs.
        image_size: side of the images in pixels.
        dense: for projects with segmentations.

    Raises:
        LearningError: there is no such preset.
    """
    if preset == "paper":
        recipe = _paper(image_size, dense)
    elif preset == "fast":
        make = (_dense_gpu if dense else _fast_gpu) if is_cuda(device) else (_dense_cpu if dense else _fast_cpu)
        recipe = make(image_size)
    else:
        raise LearningError(f"The preset {preset!r} is unknown: choose fast or paper.")
    return replace(recipe, pretext=replace(recipe.pretext, epochs=recipe.pretext.epochs_for(pool)))


def choose_image_size(median_side: int, *, preset: str, device: str, dense: bool = False) -> int:
    """The side in pixels at which a pool is stored, given the median of its images' shorter sides.

    The next larger size, so that resizing loses and invents little, up to what the device can train: 64 on a CPU (32
    for the ResNet-18 of `paper`, which is four times as expensive), 224 on a GPU; 192 and 512 for pixel-level outputs.
    """
    sizes = DENSE_SIZES if dense else SIZES
    largest = sizes[-1] if is_cuda(device) else 192 if dense else 32 if preset == "paper" else 64
    return next((size for size in sizes if size >= min(median_side, largest)), largest)


def steps_per_epoch(images: int, *, batch: int) -> int:
    return math.ceil(images / batch)


def images_per_step(spec: Mapping[str, Any], *, device: str, inputs_per_image: int, training: bool) -> int:
    """The number of images to compute between two yields."""
    return affordable_images(
        forward_flops(spec),
        dense=spec["dense"],
        device=device,
        inputs_per_image=inputs_per_image,
        training=training,
    )


def affordable_images(
    flops: float, *, dense: bool, device: str, inputs_per_image: int = 1, training: bool = False
) -> int:
    """The same for any network, given the `flops` of a forward pass; a backward pass costs twice that."""
    if is_cuda(device):
        most = _DENSE_GPU_INPUTS if dense else _GPU_INPUTS
        return max(1, int(min(most, _GPU_FLOPS_PER_STEP / flops)) // inputs_per_image)
    flops *= 3 if training else 1
    return math.ceil(max(_CPU_FLOPS_PER_STEP / flops, _LEAST_INPUTS) / inputs_per_image)


def frozen_images(flops: float, *, dense: bool, device: str) -> int:
    """The number of images to embed between two yields, given the `flops` of a network that is only applied."""
    if is_cuda(device):
        return affordable_images(flops, dense=dense, device=device)
    return max(1, min(int(_CPU_FLOPS_PER_STEP / flops), _DENSE_CPU_IMAGES if dense else _CPU_IMAGES))


def _paper(image_size: int, dense: bool) -> Recipe:
    unlimited: dict[str, Any] = {"least_steps": 0, "most_steps": 2**31}
    network: dict[str, Any] = {"network": "resnet18", "width": 64, "image_size": image_size, "dense": dense}
    sgd: dict[str, Any] = {"learning_rate": 0.1, "weight_decay": 5e-4, "nesterov": False}
    return Recipe(
        # The published code drops the rate at 30, 60, 90, left over from 120 epochs: never within 15.
        # Its rotation loader does not augment.
        PretextRecipe(**network, **sgd, **unlimited, batch=256, epochs=15, drops=(), augment=False),
        MainRecipe(**network, **sgd, **unlimited, batch=128, epochs=200, drops=(160,), augment=True),
    )


_FAST: dict[str, Any] = {
    "learning_rate": 0.1,  # as published
    "weight_decay": 5e-4,
    "nesterov": True,
    "drops": None,
    "augment": True,
    "recolour": 0.3,
}
"""Values that all recipes of `fast` share."""


def _fast_cpu(image_size: int) -> Recipe:
    # What each choice is worth: benchmarks/decisions/preset.py.
    network: dict[str, Any] = {"network": "resnet9", "width": 16, "image_size": image_size}
    return Recipe(
        PretextRecipe(
            **network,
            **{**_FAST, "learning_rate": 0.05},
            batch=32,  # many steps at little cost
            epochs=15,
            least_steps=800,  # enough for a network to learn edges from 200 images or fewer
            most_steps=1800,  # bounds the wait for the first queue, for any pool up to 57,600 images
        ),
        MainRecipe(
            **network,
            **_FAST,
            batch=64,
            epochs=40,
            least_steps=250,
            most_steps=1000,  # bounds the time for any number of labels
            mixup=True,
        ),
    )


def _fast_gpu(image_size: int) -> Recipe:
    # Page's width of 64, more than a CPU can train; augmentation as measured on CPUs. The recipe was measured on a GPU
    # only as a whole (benchmarks/results/cifar10_full_rotation), not number by number.
    network: dict[str, Any] = {"network": "resnet9", "width": 64, "image_size": image_size}
    sgd: dict[str, Any] = {**_FAST, "batch": 128}
    return Recipe(
        PretextRecipe(**network, **sgd, epochs=30, least_steps=1000, most_steps=12000),
        MainRecipe(**network, **sgd, epochs=60, least_steps=600, most_steps=8000, mixup=True),
    )


def _dense_cpu(image_size: int) -> Recipe:
    # Maps of 96 x 96 cost nine times as much as those of 32 x 32, so a step has fewer images, and there are fewer
    # steps. What each choice is worth: benchmarks/decisions/preset_segmentation.py.
    network: dict[str, Any] = {"network": "resnet9", "width": 16, "image_size": image_size, "dense": True}
    sgd: dict[str, Any] = {**_FAST, "batch": 16}
    return Recipe(
        PretextRecipe(**network, **sgd, epochs=15, least_steps=200, most_steps=400),
        MainRecipe(**network, **sgd, epochs=60, least_steps=300, most_steps=1200, balance=0.5),
    )


def _dense_gpu(image_size: int) -> Recipe:
    # As on a CPU, but wider and longer; not measured on a GPU yet.
    network: dict[str, Any] = {"network": "resnet9", "width": 64, "image_size": image_size, "dense": True}
    sgd: dict[str, Any] = {**_FAST, "batch": 32}
    return Recipe(
        PretextRecipe(**network, **sgd, epochs=30, least_steps=500, most_steps=6000),
        MainRecipe(**network, **sgd, epochs=120, least_steps=600, most_steps=8000, balance=0.5),
    )
