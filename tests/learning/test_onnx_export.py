"""Networks become ONNX files that runtimes can read."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from pt4al_backend.learning.onnx_export import PIXELS, export


class Small(nn.Module):
    """Two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        maps = self.layer(pixels.permute(0, 3, 1, 2).float() / 255).relu()
        return maps.mean(dim=(2, 3)), maps


def pixels(n: int) -> Tensor:
    return torch.randint(256, (n, 16, 16, 3), dtype=torch.uint8)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_number_of_images_is_computed(n: int) -> None:
    network = Small().eval()
    file, images = export(network, pixels(2), outputs=("vectors", "maps")), pixels(n)
    found = onnxruntime.InferenceSession(file).run(["vectors", "maps"], {PIXELS: images.numpy()})
    with torch.inference_mode():
        for one, other in zip(found, network(images), strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=1e-5)


def test_threads_do_not_disturb_each_other_nor_pythons_warnings() -> None:
    network, before, files = Small().eval(), list(warnings.filters), []
    threads = [threading.Thread(target=lambda: files.append(export(network, pixels(2)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(files) == 4 and all(onnx.load_from_string(file).graph.input[0].name == PIXELS for file in files)
    assert list(warnings.filters) == before
