"""Frozen networks on a CPU by OpenVINO, which computes them several times as fast as PyTorch.

A network is exported in memory when it is loaded, which takes about a second, and its results are compared with
PyTorch's. Nothing is stored: there is no file that could be damaged or belong to another version.
"""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from pt4al_backend.learning.devices import one_thread
from pt4al_backend.learning.onnx_export import export

logger = logging.getLogger(__name__)

Compute = Callable[[Tensor], tuple[Tensor, ...]]
"""Pixels uint8 (n, S, S, 3) -> a network's outputs, n in each."""

_PART = 2
"""Images that one thread computes at a time: few, so that a thread whose core is busy holds the others up little."""
F32, BF16 = "f32", "bf16"
_CLOSE = {F32: 1e-3, BF16: 0.15}
"""Largest difference from PyTorch's results, relative to their largest value, by precision."""
_FIRST = threading.Lock()
"""Held by the first computation of each network: two threads that convert a process's first arrays for OpenVINO wait
for each other for ever (pybind11 initialises its knowledge of NumPy then)."""


class OpenVinoNetwork:
    """An exported network. Each thread computes other images, so that none waits for another within a network."""

    def __init__(self, exported: bytes, *, size: int, threads: int, precision: str = F32) -> None:
        core = _openvino().Core()
        model = core.read_model(io.BytesIO(exported))
        model.reshape({0: [_PART, size, size, 3]})  # faster than any number of images
        settings = {
            "INFERENCE_PRECISION_HINT": precision,
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # a core that another program uses would hold its thread up
        }
        self._compiled = core.compile_model(model, "CPU", settings)
        with _FIRST:
            self._compiled.create_infer_request().infer([np.zeros((_PART, size, size, 3), np.uint8)])
        self._requests = threading.local()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="openvino")

    def __call__(self, pixels: Tensor) -> tuple[Tensor, ...]:
        parts = list(self._threads.map(self._computed, torch.split(pixels, _PART)))
        return tuple(torch.cat(outputs) for outputs in zip(*parts, strict=True))

    def _computed(self, pixels: Tensor) -> list[Tensor]:
        if not hasattr(self._requests, "of_this_thread"):
            self._requests.of_this_thread = self._compiled.create_infer_request()
        images = np.resize(pixels.numpy(), (_PART, *pixels.shape[1:]))  # repeats some images
        outputs = self._requests.of_this_thread.infer([images]).to_tuple()
        return [torch.from_numpy(output[: len(pixels)].copy()) for output in outputs]


def on_cpu(network: nn.Module, *, name: str, size: int) -> Compute:
    """The network as OpenVINO computes it; as PyTorch does, where the export fails or gives other results.

    In bf16 where the processor is made for it: on five sets of images, probes on embeddings in bf16 were as good as on
    those in f32 (between 0.2 points worse and 0.2 better).

    Args:
        network: in evaluation mode; takes pixels uint8 (n, S, S, 3) and returns a tuple of tensors.
        name: for the log.
        size: side S of the images in pixels.
    """
    threads = torch.get_num_threads()
    shape, random = (_PART * threads + 1, size, size, 3), torch.Generator().manual_seed(0)
    pixels = torch.randint(256, shape, dtype=torch.uint8, generator=random)
    try:
        with one_thread(), torch.inference_mode():
            expected = network(pixels)
            exported = export(network, pixels[:_PART])
            precisions = (F32, BF16) if _computes_bf16() else (F32,)
            computed = [OpenVinoNetwork(exported, size=size, threads=threads, precision=each) for each in precisions]
        differences = [_difference(each(pixels), expected) for each in computed]
    except Exception as error:  # for a network that they cannot handle, exporters and compilers raise anything
        logger.warning("%s is computed by PyTorch, since OpenVINO cannot compute it: %s", name, _first_line(error))
        return network
    if not differences[0] <= _CLOSE[F32]:
        logger.warning("%s is computed by PyTorch, since OpenVINO's results differ by %.1g.", name, differences[0])
        return network
    return computed[-1] if differences[-1] <= _CLOSE[precisions[-1]] else computed[0]


def compute(exported: bytes, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The first output of an exported network for pixels (n, S, S, 3), computed once and in f32."""
    core = _openvino().Core()
    compiled = core.compile_model(core.read_model(io.BytesIO(exported)), "CPU", {"INFERENCE_PRECISION_HINT": F32})
    with _FIRST:
        output: npt.NDArray[np.float32] = compiled.create_infer_request().infer([pixels])[0]
    return output


def _openvino() -> Any:
    """The package without its telemetry, which reports every import to Google Analytics.

    Where that is not installed, OpenVINO uses a stub of its own. Not imported where own networks are used alone.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # to import it is an ImportError now
    import openvino

    return openvino


def _computes_bf16() -> bool:
    """Whether the processor has AMX, with which bf16 takes half the time of f32. Others might as well not have bf16.

    Not measured when a network is loaded: only the same embeddings give the same order.
    """
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux
        return False


def _difference(found: Sequence[Tensor], expected: Sequence[Tensor]) -> float:
    """The largest of all outputs, relative to the largest value of each."""
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(found, expected, strict=True))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
