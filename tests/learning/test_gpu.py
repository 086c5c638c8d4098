"""What a GPU computes; nothing here runs without one."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from support.networks import SHAPES, ArrayMasks, MemoryCheckpoint, digits, finish, noise, shapes, single, small

from pt4al_backend import learning
from pt4al_backend.learning.cuda_graphs import Graphs
from pt4al_backend.learning.devices import computing
from pt4al_backend.learning.inputs import generator, normalised
from pt4al_backend.learning.networks import Network, initialised, network_spec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

ROWS = np.arange(100)  # batches of 14 and 15


def same(one: learning.Weights, other: learning.Weights) -> bool:
    return all(np.array_equal(array, other.arrays[name]) for name, array in one.arrays.items())


def pretext(checkpoint: MemoryCheckpoint, **changes: Any) -> Generator[learning.Progress, None, learning.Weights]:
    recipe = small(**changes).pretext
    return learning.train_pretext(
        noise(100), ROWS, recipe=recipe, seed=0, device="cuda", checkpoint=checkpoint, save_seconds=0
    )


def test_graphs_compute_what_the_network_does() -> None:
    spec = network_spec("resnet9", width=8, image_size=16, outputs=[single(3), single(4)])
    networks = [initialised(spec, generator=generator(0)).to("cuda").train() for _ in range(2)]

    def add_gradients(network: Network, part: Sequence[torch.Tensor]) -> None:
        with computing("cuda", half=True):
            logits = network(normalised(part[0]))
            loss = torch.stack([each.float().square().mean() for each in logits]).sum()
        torch.autograd.backward(loss)

    graphs = Graphs(networks[1], partial(add_gradients, networks[1]))
    for n in (32, 31, 32):
        images = torch.from_numpy(noise(n, seed=n).pixels)
        networks[0].zero_grad()
        add_gradients(networks[0], [images.to("cuda")])
        graphs([images])
        plain, graphed = (dict(network.named_parameters()) for network in networks)
        for name, parameter in plain.items():
            torch.testing.assert_close(graphed[name].grad, parameter.grad, rtol=0, atol=0)
        kept = dict(networks[1].named_buffers())
        for name, buffer in networks[0].named_buffers():
            torch.testing.assert_close(kept[name], buffer, rtol=0, atol=0)


def test_the_same_seed_gives_the_same_weights() -> None:
    assert same(finish(pretext(MemoryCheckpoint())), finish(pretext(MemoryCheckpoint())))


def test_a_training_goes_on_where_it_was_left() -> None:
    checkpoint = MemoryCheckpoint()
    for _ in islice(pretext(checkpoint), 9):
        pass
    assert checkpoint.saves >= 8
    assert same(finish(pretext(checkpoint)), finish(pretext(MemoryCheckpoint())))


def test_losses_are_those_of_a_cpu() -> None:
    weights = finish(pretext(MemoryCheckpoint()))
    found = [finish(learning.pretext_losses(weights, noise(100), ROWS, device=device)) for device in ("cuda", "cpu")]
    np.testing.assert_allclose(*found, rtol=0.02, atol=0.01)


def test_digits_are_learnt() -> None:
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


def test_shapes_are_learnt_pixel_by_pixel() -> None:
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
