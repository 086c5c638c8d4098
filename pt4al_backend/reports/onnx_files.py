"""A model as an ONNX file, with a Python program beside it that predicts with it."""

from __future__ import annotations

from pathlib import Path

from pt4al_backend.reports.output_files import text_file, unfinished

EXAMPLE = '''\
"""Predict images with the model beside this program: python PROGRAM IMAGE ... (onnxruntime, pillow, numpy)"""

import json, pathlib, sys
import numpy, onnxruntime
from PIL import Image, ImageOps

session = onnxruntime.InferenceSession(pathlib.Path(__file__).with_name("MODEL"))
about = session.get_modelmeta().custom_metadata_map
classes, side = json.loads(about["classes"]), int(about["input_side"])


def predict(path):
    """Probabilities (classes,); of a segmentation (classes, rows, columns), of the image squashed to a square."""
    with Image.open(path) as image:
        image.draft(None, (2 * side, 2 * side))  # a large JPEG is decoded at a fraction of its size
        square = image.convert("RGB").resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return session.run(None, {"pixels": numpy.asarray(ImageOps.exif_transpose(square))[None]})[0][0]


for path in sys.argv[1:]:  # of a segmentation, the mean over all pixels
    print(path, dict(zip(classes, predict(path).reshape(len(classes), -1).mean(axis=1).round(4).tolist())))
'''
"""The program; `save_onnx` fills in MODEL, the name of a file."""


def save_onnx(model: bytes, output: Path) -> Path:
    """Write the model, and the program beside it: `model_example.py` for `model.onnx`.

    Returns:
        The program.

    Raises:
        PT4ALError: One of them cannot be written.
    """
    with unfinished(output) as path:
        path.write_bytes(model)
    example = output.with_name(f"{output.stem}_example.py")
    with text_file(example) as file:
        file.write(EXAMPLE.replace('"MODEL"', repr(output.name)))
    return example
