"""Computation on a GPU; these tests need one."""

from __future__ import annotations

from collections.abc import Generator
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from support.networks import SHAPES, ArrayMasks, MemoryCheckpoint, digits, finish, noise, shapes, single, small

from pt4al_backend import learning

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

ROWS = np.arange(100)  # batches of 14 and 15


def same(one: learning.Weights, other: learning.Weights) -> bool:
    return all(np.array_equal(array, other.arrays[name]) for name, array in one.arrays.items())


def pretext(checkpoint: MemoryCheckpoint, **changes: Any) -> Generator[learning.Progress, None, learning.Weights]:
    recipe = small(**changes).pretext
    return learning.train_pretext(
        noise(100), ROWS, recipe=recipe, seed=0, device="cuda", checkpoint=checkpoint, save_seconds=0
    )


def test_the_same_seed_gives_the_same_weights() -> None:
    assert same(finish(pretext(MemoryCheckpoint())), finish(pretext(MemoryCheckpoint())))


def test_a_training_resumes_where_it_stopped() -> None:
    checkpoint = MemoryCheckpoint()
    for _ in islice(pretext(checkpoint), 9):
        pass
    assert checkpoint.saves >= 8
    assert same(finish(pretext(checkpoint)), finish(pretext(MemoryCheckpoint())))


def test_losses_are_those_of_a_cpu() -> None:
    weights = finish(pretext(MemoryCheckpoint()))
    found = [finish(learning.pretext_losses(weights, noise(100), ROWS, device=device)) for device in ("cuda", "cpu")]
    np.testing.assert_allclose(*found, rtol=0.02, atol=0.01)


def test_digits_are_learned() -> None:
    images, targets = digits()
    rows, others = np.arange(300), np.arange(300, 1300)
    recipe = small(epochs=30).main
    weights = finish(
        learning.train_main(
            images, rows, [single(10)], [targets[rows]], recipe=recipe, init=None, seed=0, device="cuda"
        )
    )
    found = [
        np.concatenate(
            [pooled for _, pooled, _ in learning.network_encoder(weights).embed(images, others, device=device)]
        )
        for device in ("cuda", "cpu")
    ]
    np.testing.assert_allclose(*found, rtol=0.02, atol=0.02)
    answers = learning.network_head(weights, 0).logits(found[0]).argmax(axis=1)
    assert (answers == targets[others]).mean() > 0.8


def test_shapes_are_learned_pixel_by_pixel() -> None:
    images, masks = shapes(48)
    rows = np.arange(32)
    recipe = small(64, dense=True, epochs=30).main
    arguments: dict[str, Any] = {"recipe": recipe, "init": None, "seed": 0, "device": "cuda"}
    weights, again = (
        finish(learning.train_main(images, rows, [SHAPES], [ArrayMasks(masks)], **arguments)) for _ in range(2)
    )
    assert same(weights, again)
    others = np.arange(32, 48)
    head = learning.network_head(weights, 0)
    ((_, logits),) = learning.network_encoder(weights).segment(head, images, others, device="cuda")
    assert (logits.argmax(axis=-1) == masks[others]).mean() > 0.8
