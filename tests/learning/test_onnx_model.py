"""The exported model says what the backend says, of pixels of any size."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image
from support.colour_encoder import colour_encoder
from support.tiny_encoder import tiny_encoder
from torch import Tensor

from pt4al_backend.errors import LearningError
from pt4al_backend.learning import Encode, Encoder, Head, Output, make_encoder, network_encoder
from pt4al_backend.learning.networks import initialised, network_spec, to_weights
from pt4al_backend.learning.onnx_model import _finished, onnx_model
from pt4al_backend.learning.types import MULTIPLE, SEGMENTATION, SINGLE

PARITY = 1e-4
SINGLE_OUTPUT, MULTIPLE_OUTPUT, MASKS = Output(SINGLE, 3), Output(MULTIPLE, 3), Output(SEGMENTATION, 3)
MASK_SIDE = 20
Images = NDArray[np.uint8]


def own(*, dense: bool, network: str = "resnet9") -> Encoder:
    outputs = [MASKS if dense else SINGLE_OUTPUT]
    spec = network_spec(network, width=8, image_size=40, outputs=outputs, dense=dense)
    return network_encoder(to_weights(initialised(spec, generator=torch.Generator().manual_seed(0)), spec))


def timm(architecture: str, size: int = 96) -> Callable[..., Encoder]:
    return lambda dense: tiny_encoder(architecture=architecture, size=size, dense=dense)


ENCODERS: dict[str, Callable[..., Encoder]] = {
    "efficientnet": timm("test_efficientnet"),
    "odd cells": timm("test_efficientnet", 224),  # 56 cells are stored as 48
    "vit": timm("test_vit"),
    "convnext": timm("test_convnext"),
    "own": own,
    "own resnet18": lambda dense: own(dense=dense, network="resnet18"),
    "somebody's": lambda dense: colour_encoder("colours", dense=dense, size=32),
    "built in": lambda dense: make_encoder("efficientnet_lite0", stored=_nothing, dense=dense),
}


def _nothing(name: str) -> Any:
    raise AssertionError("no network is stored")


def head(encoder: Encoder, output: Output) -> Head:
    """With logits of a few units, as fitted ones have."""
    dense = output.kind == SEGMENTATION and encoder.patches is not None
    vectors, patches = encoder.embed_pixels(photographs(2, encoder.input_size, encoder.input_size), device="cpu")
    if dense:
        assert encoder.patches is not None and patches is not None
        vectors = encoder.patches.cells(patches, np.arange(encoder.patches.side**2)[None].repeat(2, axis=0))
    features = vectors.reshape(-1, vectors.shape[-1]).astype(np.float32)
    weight = np.random.default_rng(0).normal(size=(features.shape[1], 3)).astype(np.float32)
    weight *= 2 / np.abs(features @ weight).max()
    return Head(weight, np.linspace(-1, 1, 3, dtype=np.float32))


def photographs(n: int, height: int, width: int) -> Images:
    rows, columns = np.mgrid[:height, :width] / 30
    waves = np.stack([[np.sin(rows * (k + 1) + c) * np.cos(columns + k) for c in range(3)] for k in range(n)])
    noise = np.random.default_rng(0).normal(0, 10, waves.shape)
    return np.clip(127 + 90 * waves + noise, 0, 255).astype(np.uint8).transpose(0, 2, 3, 1).copy()


@dataclass(frozen=True)
class Stored:
    images: Images

    @property
    def size(self) -> int:
        return self.images.shape[1]

    def read(self, rows: NDArray[np.int64]) -> Images:
        return self.images[rows]


def backend(encoder: Encoder, head: Head, output: Output, images: Images) -> NDArray[np.float32]:
    """The probabilities of images as large as the encoder wants them, from embeddings as they are stored."""
    vectors, patches = encoder.embed_pixels(images, device="cpu")
    if output.kind != SEGMENTATION:
        logits = torch.from_numpy(head.logits(vectors))
        return (logits.sigmoid() if output.kind == MULTIPLE else logits.softmax(dim=1)).numpy()
    if encoder.pretrained:
        assert encoder.patches is not None and patches is not None
        masks = torch.from_numpy(encoder.patches.logits(patches, head, side=MASK_SIDE))
    else:
        parts = encoder.segment(head, Stored(images), np.arange(len(images)), device="cpu")
        masks = torch.from_numpy(np.concatenate([part for _, part in parts])).float()
    return masks.softmax(dim=-1).permute(0, 3, 1, 2).numpy()


def run(file: bytes, images: Images) -> NDArray[np.float32]:
    (found,) = onnxruntime.InferenceSession(file).run(["probabilities"], {"pixels": images})
    return np.asarray(found)


@pytest.mark.parametrize(
    ("name", "output"),
    [*itertools.product(ENCODERS, [SINGLE_OUTPUT, MASKS]), ("efficientnet", MULTIPLE_OUTPUT), ("own", MULTIPLE_OUTPUT)],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_it_says_what_the_backend_says(name: str, output: Output) -> None:
    encoder = ENCODERS[name](dense=output.kind == SEGMENTATION)
    fitted = head(encoder, output)
    file = onnx_model(encoder, fitted, output, mask_side=MASK_SIDE, metadata={})
    images = photographs(3, encoder.input_size, encoder.input_size)
    expected = backend(encoder, fitted, output, images)
    assert expected.std(axis=0).max() > 1e-3  # it depends on the image
    # The masks of own networks are rounded to float16 when the backend computes them.
    parity = PARITY if encoder.pretrained or output.kind != SEGMENTATION else 1e-3
    assert np.abs(run(file, images) - expected).max() < parity
    assert np.abs(run(file, images[:1]) - expected[:1]).max() < parity


@pytest.mark.parametrize(("height", "width"), [(150, 50), (31, 33), (400, 300), (1, 1), (1500, 96), (96, 96)])
def test_pixels_of_any_size_are_squashed_as_pillow_does_it(height: int, width: int) -> None:
    """Few of them are off, by a level or two."""
    graph = helper.make_graph(
        [helper.make_node("Cast", ["pixels"], ["seen"], to=TensorProto.INT32)],
        "seen",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 96, 96, 3])],
        [helper.make_tensor_value_info("seen", TensorProto.INT32, ["n", 96, 96, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = onnxruntime.InferenceSession(_finished(model.SerializeToString(), 96, {}))
    images = photographs(2, height, width)
    squashed = [np.asarray(Image.fromarray(each).resize((96, 96), Image.Resampling.BILINEAR)) for each in images]
    off = np.abs(session.run(None, {"pixels": images})[0] - np.stack(squashed))
    assert off.max() <= 1 and (off > 0).mean() < (0.01 if min(height, width) >= 96 else 0.3)
    assert (height, width) != (96, 96) or off.max() == 0


def test_it_says_about_itself_what_it_is_told() -> None:
    encoder = colour_encoder("colours", dense=False)
    said = {"classes": '["Ä", "b"]', "licence": "line\nline"}
    session = onnxruntime.InferenceSession(
        onnx_model(encoder, head(encoder, SINGLE_OUTPUT), SINGLE_OUTPUT, metadata=said)
    )
    assert session.get_modelmeta().custom_metadata_map == said
    (pixels,), (probabilities,) = session.get_inputs(), session.get_outputs()
    assert (pixels.type, pixels.shape) == ("tensor(uint8)", ["n", "height", "width", 3])
    assert (probabilities.type, probabilities.shape[0]) == ("tensor(float)", "n")


class Odd(type(colour_encoder("odd", dense=False))):  # type: ignore[misc]
    """Computes what no exporter knows."""

    def load(self, device: str) -> Encode:
        def encode(pixels: Tensor) -> tuple[Tensor, None]:
            colours = pixels.float().mean(dim=(1, 2)) / 255
            return torch.linalg.eigvalsh(colours[:, :, None] @ colours[:, None, :]), None

        return encode


class Counting(type(colour_encoder("odd", dense=False))):  # type: ignore[misc]
    """Computes something else each time."""

    def load(self, device: str) -> Encode:
        calls = iter(range(100))
        return lambda pixels: (pixels.float().mean(dim=(1, 2)) * next(calls) / 255, None)


@pytest.mark.parametrize(
    ("kind", "says"),
    [(Odd, r"cannot be exported as ONNX \(\w+\): choose"), (Counting, "probabilities would differ by")],
)
def test_a_model_that_would_say_something_else_is_refused(kind: type[Encoder], says: str) -> None:
    encoder = kind(name="odd", dimension=3, patches=None, input_size=8)
    with pytest.raises(LearningError, match=says):
        onnx_model(encoder, Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32)), SINGLE_OUTPUT, metadata={})
