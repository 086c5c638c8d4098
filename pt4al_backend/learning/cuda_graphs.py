"""Training steps on a GPU without waiting for Python: what a step computes is recorded once, then launched at once.

A small network's kernels are done sooner than Python can launch them one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pt4al_backend.learning.devices import sent

_WARM_UPS = 3
"""Runs before the recording, as libraries set themselves up in the first."""


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    """Where the recorded kernels read ..."""
    gradients: list[Tensor | None]
    """... and write, one for each parameter."""


class Graphs:
    """A computation of a network's gradients, as CUDA graphs: one for all inputs of the same shapes.

    Once recorded, Python is not asked again: what is computed may depend on nothing but the inputs and the network.
    """

    def __init__(self, network: nn.Module, compute: Callable[[Sequence[Tensor]], None]) -> None:
        """`compute` adds the gradients for its inputs, which are on the GPU, to the network's parameters."""
        self._network, self._compute = network, compute
        self._device = next(network.parameters()).device
        self._pool = torch.cuda.graph_pool_handle()  # one for all: of a call nothing is needed in the next
        self._recordings: dict[tuple[torch.Size, ...], _Recording] = {}

    def __call__(self, inputs: Sequence[Tensor]) -> None:
        """Give the network's parameters their gradients; older ones are dropped."""
        with torch.cuda.device(self._device):
            shapes = tuple(each.shape for each in inputs)
            if shapes not in self._recordings:
                self._recordings[shapes] = self._recorded(inputs)
            recording = self._recordings[shapes]
            for own, given in zip(recording.inputs, inputs, strict=True):
                own.copy_(given if given.is_cuda else given.pin_memory(), non_blocking=True)
            recording.graph.replay()
        for parameter, gradient in zip(self._network.parameters(), recording.gradients, strict=True):
            parameter.grad = gradient

    def _recorded(self, inputs: Sequence[Tensor]) -> _Recording:
        statistics = [buffer.clone() for buffer in self._network.buffers()]
        own = [sent(each, self._device).clone() for each in inputs]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._network.zero_grad()
                self._compute(own)
        torch.cuda.current_stream().wait_stream(stream)
        self._network.zero_grad()  # so that the recording writes gradients and does not add to them
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._compute(own)
        for buffer, before in zip(self._network.buffers(), statistics, strict=True):
            buffer.copy_(before)  # warming up moved BatchNorm's
        return _Recording(graph, own, [parameter.grad for parameter in self._network.parameters()])
