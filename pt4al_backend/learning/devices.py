"""The processor that computes, and its precision: float32 on a CPU, bf16 training on a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pt4al_backend.errors import LearningError


def resolve_device(name: str) -> str:
    """The device that `auto`, `cpu`, `cuda` or `cuda:<n>` means on this machine.

    Raises:
        LearningError: the name is unknown, or this machine has no such GPU.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not index.isdecimal()):
        raise LearningError(f"The device {name!r} is unknown: use auto, cpu, cuda or cuda:<number>.")
    if kind == "cpu":
        return "cpu"
    if not torch.cuda.is_available():
        raise LearningError(f"The device {name!r} cannot be used, since PyTorch finds no GPU: use auto or cpu.")
    if int(index or 0) >= torch.cuda.device_count():
        raise LearningError(f"The device {name!r} does not exist: GPUs are counted from 0; try cuda:0.")
    return name


def describe_device(device: str) -> str:
    """The device as a person would call it."""
    if is_cuda(device):
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def is_cuda(device: str) -> bool:
    return device.startswith("cuda")


def sent(values: Tensor, device: str | torch.device) -> Tensor:
    """`values` on the device. The copy is queued on a GPU: a plain copy would wait until the GPU is idle."""
    if values.is_cuda or not is_cuda(str(device)):
        return values
    return values.pin_memory().to(device, non_blocking=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread: on a busy machine, threads waiting for each other slowed small operations tenfold."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def computing(device: str, *, half: bool) -> Iterator[None]:
    """Use reproducible kernels, and bf16 on a GPU if `half`. A caller must not yield inside this context."""
    if not is_cuda(device):
        # bf16 is 16 times slower on CPUs without avx512_bf16
        yield
        return
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=True),
        torch.autocast("cuda", dtype=torch.bfloat16, enabled=half, cache_enabled=False),
    ):
        yield
