"""The program beside an exported model: short, in the docs, and with the backend's own pixels."""

from __future__ import annotations

import io
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from PIL import Image

from pt4al_backend.errors import PT4ALError
from pt4al_backend.reports.onnx_files import EXAMPLE, save_onnx
from pt4al_backend.store.decode import decode

DOCS = Path(__file__).parents[2] / "docs"
SIDE = 48


def seen(side: int = SIDE) -> bytes:
    """A model whose probabilities are the pixels that it gets."""
    shape: list[Any] = ["n", "height", "width", 3]
    graph = helper.make_graph(
        [helper.make_node("Cast", ["pixels"], ["probabilities"], to=TensorProto.FLOAT)],
        "seen",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, shape)],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.helper.set_model_props(model, {"classes": json.dumps(["a", "b"]), "input_side": str(side)})
    return bytes(model.SerializeToString())


def photograph(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """Smooth, with some noise."""
    rows, columns = np.mgrid[:height, :width] / 40
    waves = np.stack([np.sin(rows + k) * np.cos(columns - k) for k in range(3)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 8, waves.shape)
    return Image.fromarray(np.clip(127 + 90 * waves + noise, 0, 255).astype(np.uint8)).convert(mode)


def saved(image: Image.Image, kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **more)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return saved(photograph(200, 130), "JPEG", exif=exif)


@pytest.mark.parametrize(
    "data",
    [
        saved(photograph(60, 40), "PNG"),
        saved(photograph(50, 300, "L"), "PNG"),
        saved(photograph(90, 90, "P"), "GIF"),
        saved(photograph(120, 80), "JPEG"),
        saved(photograph(1700, 1300), "JPEG", quality=90),
        saved(photograph(1700, 1300), "WEBP", lossless=True),
        saved(photograph(SIDE, SIDE), "PNG"),
        *map(turned, range(1, 9)),
    ],
    ids=["png", "grey", "palette", "jpeg", "large jpeg", "large webp", "as wanted", *map(str, range(1, 9))],
)
def test_it_sees_the_pixels_that_the_backend_sees(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "image").write_bytes(data)
    monkeypatch.setattr(sys, "argv", ["example"])
    found: NDArray[np.float32] = runpy.run_path(str(save_onnx(seen(), tmp_path / "model.onnx")))["predict"](
        tmp_path / "image"
    )
    assert np.array_equal(found, decode(data, size=SIDE))


def test_it_is_fifteen_lines_and_in_the_docs() -> None:
    assert len([line for line in EXAMPLE.splitlines() if line]) == 15
    shown = EXAMPLE.replace("MODEL", "model.onnx")
    assert f"```python\n{shown}```" in (DOCS / "commands.md").read_text()


@pytest.mark.parametrize("name", ["model.onnx", 'it\'s "mine" \\ 2.onnx', "no ending", "MODEL.onnx"])
def test_it_finds_its_model_by_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = tmp_path / "image.png"
    image.write_bytes(saved(photograph(9, 9), "PNG"))
    example = save_onnx(seen(), tmp_path / name)
    assert example.name == f"{Path(name).stem}_example.py"
    monkeypatch.setattr(sys, "argv", [str(example), str(image)])
    runpy.run_path(str(example), run_name="__main__")


def test_a_file_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match="is not a directory"):
        save_onnx(seen(), tmp_path / "none" / "model.onnx")
    assert list(tmp_path.iterdir()) == []
