"""An encoder and a head on its embeddings as one ONNX file: pixels of any size in, probabilities out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pt4al_backend.errors import LearningError
from pt4al_backend.learning.devices import one_thread
from pt4al_backend.learning.embedding import Encoder, Maps, in_half_precision
from pt4al_backend.learning.linear_probe import Head
from pt4al_backend.learning.onnx_export import PIXELS, export
from pt4al_backend.learning.openvino_network import compute
from pt4al_backend.learning.output_types import type_of
from pt4al_backend.learning.patch_layout import PatchLayout, head_on_maps
from pt4al_backend.learning.types import Output

PROBABILITIES = "probabilities"
"""Name of the output."""
_TRACED, _CHECKED = 2, 3
"""How many images the export and its check see: other numbers must do as well."""
_CLOSE = 0.01
"""Largest difference of a probability from PyTorch's in the check, in which OpenVINO leaves out the rounding of
embeddings to float16."""
_RESIZED = "resized"


@one_thread()
def onnx_model(
    encoder: Encoder, head: Head, output: Output, *, mask_side: int = 0, metadata: Mapping[str, str]
) -> bytes:
    """The model as a file for any runtime of ONNX with opset 20.

    Its input `pixels` is uint8 (n, H, W, 3), RGB. Images of any size are squashed to the encoder's square as Pillow
    does it (bilinear, antialiased, to whole numbers), which is how the backend decodes them. Its output `probabilities`
    is float32: (n, classes), which add up to 1 except for a `multiple` output, or (n, classes, m, m) for a
    segmentation; m is `mask_side`.

    Args:
        encoder: what gives the embeddings.
        head: what was fitted on them, or on patch embeddings if the output is at pixel level.
        output: what the head predicts.
        mask_side: side of a segmentation's masks in pixels.
        metadata: what the file says about itself, by name.

    Raises:
        LearningError: the encoder cannot be exported.
    """
    shape, random = (_CHECKED, encoder.input_size, encoder.input_size, 3), torch.Generator().manual_seed(0)
    pixels = torch.randint(256, shape, dtype=torch.uint8, generator=random)
    try:
        with torch.inference_mode():
            network = _Predictor(encoder, head, output, mask_side).eval()
            expected = network(pixels).numpy()
            file = _finished(export(network, pixels[:_TRACED], outputs=(PROBABILITIES,)), encoder.input_size, metadata)
        difference = float(np.abs(compute(file, pixels.numpy()) - expected).max())
    except Exception as error:  # for a network that they cannot handle, exporters and compilers raise anything
        raise LearningError(
            f"The encoder {encoder.name} cannot be exported as ONNX ({type(error).__name__}): choose another with "
            "PT4AL_ENCODER."
        ) from error
    if not difference <= _CLOSE:
        raise LearningError(
            f"The encoder {encoder.name} cannot be exported as ONNX, since its probabilities would differ by "
            f"{difference:.1g}: choose another with PT4AL_ENCODER."
        )
    return file


class _Predictor(nn.Module):
    """Pixels uint8 (n, S, S, 3) -> probabilities, as they are computed from embeddings that were stored."""

    def __init__(self, encoder: Encoder, head: Head, output: Output, mask_side: int) -> None:
        super().__init__()
        self.encoder = encoder.module()
        self._head, self._type, self._side = head, type_of(output), mask_side
        self._layout = encoder.patches if encoder.pretrained else None  # own networks segment with their whole maps

    def forward(self, pixels: Tensor) -> Tensor:
        embeddings, *maps = self.encoder(pixels)
        return self._type.probabilities(self._of_pixels(maps) if self._type.dense else self._of_image(embeddings))

    def _of_image(self, embeddings: Tensor) -> Tensor:
        weight, bias = torch.from_numpy(self._head.weight), torch.from_numpy(self._head.bias)
        return in_half_precision(embeddings).float() @ weight + bias

    def _of_pixels(self, maps: Maps) -> Tensor:
        return head_on_maps(self._head, _as_stored(maps, self._layout) if self._layout else maps, side=self._side)


def _as_stored(maps: Maps, layout: PatchLayout) -> list[Tensor]:
    """Maps (n, c, s, s) as `layout` stores them, each the average of its cells."""
    sides = [side for side, _ in layout.stages]
    return [in_half_precision(_averaged(each, side)).float() for each, side in zip(maps, sides, strict=True)]


def _averaged(maps: Tensor, side: int) -> Tensor:
    """Maps (n, c, s, s) -> (n, c, side, side) by adaptive average pooling, which is exported for few sides only."""
    size = int(maps.shape[-1])
    weights = np.zeros((size, side), np.float32)
    for cell in range(side):
        first, last = cell * size // side, -(-(cell + 1) * size // side)
        weights[first:last, cell] = 1 / (last - first)
    columns = torch.from_numpy(weights)
    return columns.T @ maps @ columns


def _finished(exported: bytes, side: int, metadata: Mapping[str, str]) -> bytes:
    """An exported network for images of any size, with what it says about itself."""
    import onnx

    model = onnx.load_from_string(exported)
    _prepend_resizing(model.graph, side)
    onnx.helper.set_model_props(model, dict(metadata))
    model.producer_name = "pt4al-backend"
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _prepend_resizing(graph: Any, side: int) -> None:
    """Let the graph take images of any size; of uint8, ONNX's antialiased resizing rounds as Pillow does."""
    from onnx import TensorProto, helper

    for node in graph.node:
        for place, name in enumerate(node.input):
            if name == PIXELS:
                node.input[place] = _RESIZED
    how: dict[str, Any] = {"mode": "linear", "antialias": 1, "exclude_outside": 1}
    steps = [
        helper.make_node("Transpose", [PIXELS], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Shape", [PIXELS], ["images"], start=0, end=1),
        helper.make_node("Concat", ["images", "plane_shape"], ["new_shape"], axis=0),
        helper.make_node("Resize", ["planes", "", "", "new_shape"], ["resized_planes"], **how),
        helper.make_node("Transpose", ["resized_planes"], [_RESIZED], perm=[0, 2, 3, 1]),
    ]
    for place, step in enumerate(steps):
        graph.node.insert(place, step)
    graph.initializer.append(helper.make_tensor("plane_shape", TensorProto.INT64, [3], [3, side, side]))
    graph.input[0].CopyFrom(helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["n", "height", "width", 3]))
