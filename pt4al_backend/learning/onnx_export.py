"""Networks as ONNX files."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

PIXELS = "pixels"
"""Name of the input."""

_EXPORT = threading.Lock()
"""Held by an export: PyTorch's exporter and Python's filters of warnings have one state for all threads."""


def export(network: nn.Module, pixels: Tensor, *, outputs: Sequence[str] = ()) -> bytes:
    """The network as an ONNX file for any number of images of that size.

    By the older of PyTorch's two exporters: the newer one takes ten times as long, and more libraries.

    Args:
        network: in evaluation mode; takes pixels uint8 (n, S, S, 3).
        pixels: some images.
        outputs: names of the outputs; the exporter numbers the others.
    """
    file: Any = io.BytesIO()  # its type says path, but it may be a file
    with _EXPORT, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older one, and that sizes become constants
        torch.onnx.export(
            network,
            (pixels,),
            file,
            dynamo=False,
            input_names=[PIXELS],
            output_names=[*outputs],
            dynamic_axes={name: {0: "n"} for name in (PIXELS, *outputs)},
        )
    return file.getvalue()
