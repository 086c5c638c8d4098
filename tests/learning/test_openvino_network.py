"""OpenVINO computes what PyTorch does, or PyTorch goes on."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import pytest
import torch
from torch import Tensor, nn

from pt4al_backend.learning import openvino_network
from pt4al_backend.learning.openvino_network import OpenVinoNetwork, on_cpu


class Small(nn.Module):
    """Two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.layer(pixels.permute(0, 3, 1, 2).float() / 255).relu()
        return maps.mean(dim=(2, 3)), maps


class Unknown(Small):
    """No exporter knows the Hermitian eigenvalues."""

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        pooled, maps = super().forward(pixels)
        return torch.linalg.eigvalsh(pooled[:, :, None] @ pooled[:, None, :]), maps


class Counting(Small):
    """What an export cannot know: how often it was called."""

    calls = 0

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        pooled, maps = super().forward(pixels)
        return pooled * self.calls, maps


def some_pixels(n: int) -> Tensor:
    return torch.randint(256, (n, 16, 16, 3), dtype=torch.uint8)


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize(("bf16", "close"), [(False, 1e-4), (True, 0.05)])
def test_any_number_of_images_is_computed(n: int, bf16: bool, close: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_network, "_computes_bf16", lambda: bf16)
    network = Small().eval()
    exported = on_cpu(network, name="small", size=16)
    assert isinstance(exported, OpenVinoNetwork)
    pixels = some_pixels(n)
    with torch.inference_mode():
        for found, expected in zip(exported(pixels), network(pixels), strict=True):
            torch.testing.assert_close(found, expected, rtol=close, atol=close)


def test_threads_share_a_network() -> None:
    exported = on_cpu(Small().eval(), name="small", size=16)
    pixels = some_pixels(40)
    results: list[Tensor] = []
    threads = [threading.Thread(target=lambda: results.append(exported(pixels)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4 and all(torch.equal(each, results[0]) for each in results)


@pytest.mark.parametrize(
    ("network", "says"),
    [(Unknown(), "since OpenVINO cannot compute it: "), (Counting(), "since OpenVINO's results differ by ")],
)
def test_pytorch_serves_what_cannot_be_exported(
    network: nn.Module, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert on_cpu(network.eval(), name="odd", size=16) is network
    assert [record.getMessage().partition(says)[0] for record in caplog.records] == ["odd is computed by PyTorch, "]


STARTS = """
import sys
import torch
from pt4al_backend.learning.openvino_network import on_cpu

class Network(torch.nn.Module):
    def forward(self, pixels):
        return (pixels.float().mean(dim=(1, 2)),)

torch.set_num_threads(4)
sys.setswitchinterval(1e-6)
compute = on_cpu(Network().eval(), name="small", size=16)
assert sys.modules["openvino_telemetry"] is None and "openvino.tools.ovc.telemetry_stub" in sys.modules
print(type(compute).__name__, compute(torch.ones(40, 16, 16, 3, dtype=torch.uint8))[0].sum().item())
"""


def test_the_first_threads_of_a_process_do_not_wait_for_each_other_and_nothing_is_reported() -> None:
    processes = [subprocess.Popen([sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    try:
        assert [process.communicate(timeout=120)[0] for process in processes] == ["OpenVinoNetwork 120.0\n"] * 3
    finally:
        for process in processes:
            process.kill()
