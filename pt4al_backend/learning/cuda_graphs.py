"""Training steps on a GPU without waiting for Python: a step's kernels are recorded once, then launched together.

A small network's kernels finish sooner than Python can launch them one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pt4al_backend.learning.devices import sent

_WARM_UPS = 3
"""Runs before the recording: libraries initialise themselves in the first."""


@dataclass(frozen=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    """The tensors that the recorded kernels read."""
    gradients: list[Tensor | None]
    """The tensors that they write, one for each parameter."""


class Graphs:
    """A computation of a network's gradients, as CUDA graphs: one per combination of input shapes.

    Python does not run again once a graph is recorded, so the computation may depend only on the inputs and the
    network.
    """

    def __init__(self, network: nn.Module, compute: Callable[[Sequence[Tensor]], None]) -> None:
        """Record `compute` when it is first needed.

        Args:
            network: on the GPU.
            compute: adds the gradients for its inputs, which are on the GPU, to the network's parameters.
        """
        self._network, self._compute = network, compute
        self._device = next(network.parameters()).device
        self._pool = torch.cuda.graph_pool_handle()  # shared: no call needs memory of another
        self._recordings: dict[tuple[torch.Size, ...], _Recording] = {}

    def __call__(self, inputs: Sequence[Tensor]) -> None:
        """Set the gradients of the network's parameters, replacing earlier ones."""
        with torch.cuda.device(self._device):
            shapes = tuple(each.shape for each in inputs)
            if shapes not in self._recordings:
                self._recordings[shapes] = self._recorded(inputs)
            recording = self._recordings[shapes]
            for recorded, values in zip(recording.inputs, inputs, strict=True):
                recorded.copy_(values if values.is_cuda else values.pin_memory(), non_blocking=True)
            recording.graph.replay()
        for parameter, gradient in zip(self._network.parameters(), recording.gradients, strict=True):
            parameter.grad = gradient

    def _recorded(self, inputs: Sequence[Tensor]) -> _Recording:
        statistics = [buffer.clone() for buffer in self._network.buffers()]
        copies = [sent(each, self._device).clone() for each in inputs]
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._network.zero_grad()
                self._compute(copies)
        torch.cuda.current_stream().wait_stream(stream)
        self._network.zero_grad()  # so that the recording writes gradients and does not add to them
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            self._compute(copies)
        for buffer, before in zip(self._network.buffers(), statistics, strict=True):
            buffer.copy_(before)  # the warm-up changed BatchNorm's statistics
        return _Recording(graph, copies, [parameter.grad for parameter in self._network.parameters()])
