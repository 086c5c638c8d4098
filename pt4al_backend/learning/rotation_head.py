"""A rotation head: the pretext task (PT4AL, section 3.1) learned on the embeddings of a frozen encoder.

It takes a small part of the time of a rotation network, which has to learn to see first. Two heads are fitted on two
parts of the pool, so that no image's loss comes from a head that was fitted on it.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.embedding import Encoder
from pt4al_backend.learning.linear_probe import Head, fit_head
from pt4al_backend.learning.training import Meter
from pt4al_backend.learning.types import SINGLE, Images, Output, Progress, Weights

HEAD_SIDE = 96
"""Side in pixels at which the encoder sees the rotated images: measured in benchmarks/decisions/rotation_head.py."""
_ROTATIONS = 4
_MOST = 500
"""Images that each head is fitted on."""
_AT_ONCE = 8
"""Images between two yields."""

Rows = npt.NDArray[np.int64]
Features = npt.NDArray[np.float16]


@dataclass(frozen=True)
class _Rotated:
    """Images, rotated by some quarter turns counterclockwise."""

    images: Images
    turns: int

    @property
    def size(self) -> int:
        return self.images.size

    def read(self, rows: Rows) -> npt.NDArray[np.uint8]:
        return np.rot90(self.images.read(rows), self.turns, axes=(1, 2))


def train_rotation_head(
    encoder: Encoder, images: Images, rows: Rows, *, seed: int, device: str
) -> Generator[Progress, None, Weights]:
    """Fit two linear probes that predict the rotation of an image, each on other images.

    Args:
        encoder: frozen; best made with inputs of `HEAD_SIDE`.
        images: the pixels.
        rows: int64 (n,), the pool.
        seed: determines which images they are fitted on.
        device: `cpu`, `cuda` or `cuda:<n>`.

    Returns:
        `weight` (2, D, 4), `bias` (2, 4), and `seen`, the rows that the first head was fitted on.

    Raises:
        LearningError: the pool is empty.
    """
    if len(rows) == 0:
        raise LearningError("There are no images to train on: import readable images.")
    sample = np.random.default_rng(seed).permutation(rows)[: 2 * _MOST]
    meter = Meter(images=len(sample), epochs=1)
    chunks = []
    for start in range(0, len(sample), _AT_ONCE):
        part = sample[start : start + _AT_ONCE]
        chunks.append(_embedded(encoder, images, part, device))
        yield meter.add(len(part))
    features = np.concatenate(chunks, axis=1)
    of_first = np.arange(len(sample)) % 2 == 0
    heads = [_fitted(features[:, part]) for part in ((of_first, ~of_first) if len(sample) > 1 else (of_first,) * 2)]
    arrays = {
        "weight": np.stack([head.weight for head in heads]),
        "bias": np.stack([head.bias for head in heads]),
        "seen": np.sort(sample[of_first]),
    }
    return Weights(arrays, {"rotation_head_of": encoder.name, "image_size": encoder.input_size})


def head_encoder(spec: dict[str, Any]) -> str:
    """Name of the encoder that a pretext network's specification is a rotation head of; "" if it is a network."""
    return str(spec.get("rotation_head_of", ""))


def rotation_head_losses(
    weights: Weights, encoder: Encoder, images: Images, rows: Rows, *, device: str
) -> Generator[Progress, None, npt.NDArray[np.float64]]:
    """Each image's pretext loss, float64 (n,): the mean cross-entropy over its four rotations.

    Args:
        weights: what `train_rotation_head` returned.
        encoder: the one it was given.
        images: the pixels.
        rows: int64 (n,).
        device: `cpu`, `cuda` or `cuda:<n>`.
    """
    first, second = (Head(*both) for both in zip(weights.arrays["weight"], weights.arrays["bias"], strict=True))
    seen = np.isin(rows, weights.arrays["seen"])
    losses = np.empty(len(rows), dtype=np.float64)
    meter = Meter(images=len(rows), epochs=1)
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        features = _embedded(encoder, images, rows[part], device)
        losses[part] = np.where(seen[part], _losses(second, features), _losses(first, features))
        yield meter.add(features.shape[1])
    return losses


def _embedded(encoder: Encoder, images: Images, rows: Rows, device: str) -> Features:
    """(4, n, D): the images in each of the four rotations."""
    return np.stack(
        [
            np.concatenate([vectors for _, vectors, _ in encoder.embed(_Rotated(images, turns), rows, device=device)])
            for turns in range(_ROTATIONS)
        ]
    )


def _fitted(features: Features) -> Head:
    """A head on features (4, n, D)."""
    flat = features.reshape(-1, features.shape[-1])
    labels = np.repeat(np.arange(_ROTATIONS), features.shape[1])
    return fit_head(flat, labels, Output(SINGLE, _ROTATIONS), pool=flat)


def _losses(head: Head, features: Features) -> npt.NDArray[np.float64]:
    """(n,), from features (4, n, D)."""
    log_probabilities = torch.from_numpy(head.logits(features)).double().log_softmax(dim=-1)
    of_true_rotation = log_probabilities.diagonal(dim1=0, dim2=2)  # (n, 4)
    return -of_true_rotation.mean(dim=1).numpy()
