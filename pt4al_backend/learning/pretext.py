"""The pretext task: predict which of four rotations an image has (PT4AL, section 3.1)."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Generator
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.devices import computing
from pt4al_backend.learning.inputs import INIT, Crop, Pixels, generator, normalised, rotated, rotation_labels
from pt4al_backend.learning.networks import Network, for_inference, initialised, network_spec, to_weights
from pt4al_backend.learning.recipes import PretextRecipe, images_per_step
from pt4al_backend.learning.thread_choice import ThreadChoice
from pt4al_backend.learning.training import Meter, Training
from pt4al_backend.learning.types import SINGLE, Checkpoint, Images, Output, Progress, Weights

_ROTATIONS = 4
SAVE_SECONDS = 20.0
"""A kill loses at most this much training."""


def train_pretext(
    images: Images,
    rows: npt.NDArray[np.int64],
    *,
    recipe: PretextRecipe,
    seed: int,
    device: str,
    checkpoint: Checkpoint,
    save_seconds: float = SAVE_SECONDS,
) -> Generator[Progress, None, Weights]:
    """Train the rotation network on the pool; returns its weights.

    Resumes from `checkpoint` if the same training (rows, recipe, seed) wrote it, and ends with the same weights, bit
    for bit, as without the interruption.

    Args:
        images: the pixels.
        rows: int64 (n,), the pool.
        recipe: the network and its training.
        seed: determines the result.
        device: `cpu`, `cuda` or `cuda:<n>`.
        checkpoint: where progress is saved.
        save_seconds: time between two saves, in seconds.

    Raises:
        LearningError: the pool is empty, or the training diverged.
    """
    if len(rows) == 0:
        raise LearningError("There are no images to train on: import readable images.")
    spec = network_spec(
        recipe.network,
        width=recipe.width,
        image_size=recipe.image_size,
        dense=recipe.dense,
        outputs=[Output(SINGLE, _ROTATIONS)],
    )
    network = initialised(spec, generator=generator(seed, INIT))
    training = Training(network, _Rotations(), recipe=recipe, images=len(rows), seed=seed, device=device)
    fingerprint = _fingerprint(rows, recipe, seed)
    saved = checkpoint.load()
    if saved is not None and saved[1].get("fingerprint") == fingerprint:
        training.resume(saved[0], step=saved[1]["step"])
    last_save = time.monotonic()

    def save() -> None:
        nonlocal last_save
        if time.monotonic() - last_save >= save_seconds:
            checkpoint.save(training.snapshot(), {"fingerprint": fingerprint, "step": training.step})
            last_save = time.monotonic()

    chunk = images_per_step(spec, device=device, inputs_per_image=_ROTATIONS, training=True)
    yield from training.run(Pixels(images, rows, device), chunk=chunk, after_step=save)
    return to_weights(training.network, spec)


def pretext_losses(
    weights: Weights, images: Images, rows: npt.NDArray[np.int64], *, device: str
) -> Generator[Progress, None, npt.NDArray[np.float64]]:
    """Each image's pretext loss, float64 (n,): the mean cross-entropy over its four rotations.

    Cross-entropy is computed in float64, so that losses near zero still sort.
    """
    network = for_inference(weights, device)
    chunk = images_per_step(weights.spec, device=device, inputs_per_image=_ROTATIONS, training=False)
    meter = Meter(images=len(rows), epochs=1)
    losses, threads = np.empty(len(rows), dtype=np.float64), ThreadChoice.on(device)
    for start in range(0, len(rows), chunk):
        part = rows[start : start + chunk]
        with threads.step(len(part)), torch.inference_mode(), computing(device, half=False):
            inputs = normalised(Pixels(images, part, device)(np.arange(len(part))))
            losses[start : start + chunk] = _losses(network, inputs).cpu().numpy()
        yield meter.add(len(part))
    return losses


class _Rotations:
    """The pretext task, which needs nothing but images."""

    def loss_inputs(self, positions: npt.NDArray[np.int64], random: torch.Generator) -> list[Tensor]:
        return []

    def losses(self, network: Network, inputs: Tensor, crop: Crop | None, loss_inputs: list[Tensor]) -> Tensor:
        return _losses(network, inputs)


def _losses(network: Network, inputs: Tensor) -> Tensor:
    """Pretext losses (n,) of inputs (n, 3, S, S)."""
    n = len(inputs)
    (logits,) = network(rotated(inputs))
    labels = rotation_labels(n, device=str(inputs.device))
    return F.cross_entropy(logits.double(), labels, reduction="none").view(_ROTATIONS, n).mean(dim=0)


def _fingerprint(rows: npt.NDArray[np.int64], recipe: PretextRecipe, seed: int) -> str:
    contents = json.dumps([asdict(recipe), seed]).encode() + np.ascontiguousarray(rows, dtype=np.int64).tobytes()
    return hashlib.sha256(contents).hexdigest()
