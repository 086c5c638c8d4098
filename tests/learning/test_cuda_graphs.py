"""Recorded steps compute the same as steps that Python launches; these tests need a GPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pytest
import torch
from support.networks import noise, single

from pt4al_backend.learning.cuda_graphs import Graphs
from pt4al_backend.learning.devices import computing
from pt4al_backend.learning.inputs import generator, normalised
from pt4al_backend.learning.networks import Network, initialised, network_spec

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")


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
