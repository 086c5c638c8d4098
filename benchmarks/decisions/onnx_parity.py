"""Does the exported ONNX file predict what the backend predicts? Its program to 9e-5, whole large images to 4e-2.

    python -m benchmarks.decisions.onnx_parity [--rows ...] [--seeds 3]

The built-in encoder in f32, with a probe on some training images; probabilities of others, from the program that is
written beside the model, and by giving the file whole images as Pillow decodes them, without squashing them first. The
figures are differences from the probabilities that the backend computes from embeddings as it stores them: for each
image the largest of all classes and pixels. `large`: photographs enlarged to eight times their sides, as JPEG.
"""

from __future__ import annotations

import argparse
import io
import runpy
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime
import torch
from PIL import Image

from benchmarks import datasets
from benchmarks.decisions.encoder_inputs import no_network, some_of
from benchmarks.kept_runs import KeptRuns
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.learning import openvino_network
from pt4al_backend.reports.onnx_files import save_onnx
from pt4al_backend.store.decode import decode

RUNS = KeptRuns(Path(__file__).parent / "results" / "onnx_parity.json", "python -m benchmarks.decisions.onnx_parity")
IMAGES = 100
SIDE, MASK_SIDE = 384, 96
ATTRIBUTES = np.array(
    [
        [name in group for group in ("bird cat deer dog frog horse", "airplane bird", "deer horse")]
        for name in datasets.CIFAR_CLASSES
    ]
)
"""Whether each class of CIFAR-10 is an animal, flies, has hooves."""
Files = Sequence[bytes]


@dataclass(frozen=True)
class Case:
    """A probe, and images that it was not fitted on."""

    encoder: learning.Encoder
    head: learning.Head
    output: learning.Output
    files: Files

    def backend(self, file: bytes) -> np.ndarray:
        """(classes, ...) probabilities."""
        vectors, patches = embedded(self.encoder, [file])
        if self.output.kind == learning.SEGMENTATION:
            assert self.encoder.patches is not None and patches is not None
            logits = torch.from_numpy(self.encoder.patches.logits(patches, self.head, side=MASK_SIDE))
            return logits.softmax(dim=-1)[0].permute(2, 0, 1).numpy()
        logits = torch.from_numpy(self.head.logits(vectors))[0]
        return (logits.sigmoid() if self.output.kind == learning.MULTIPLE else logits.softmax(dim=0)).numpy()


def embedded(encoder: learning.Encoder, files: Files) -> tuple[np.ndarray, np.ndarray | None]:
    parts = [encoder.embed_pixels(decode(file, size=encoder.input_size)[None], device="cpu") for file in files]
    patches = [part for _, part in parts if part is not None]
    return np.concatenate([vectors for vectors, _ in parts]), np.concatenate(patches) if patches else None


def single(images: LabelledImages, labels: int, seed: int, *, times: int = 1) -> Case:
    """`times`: how much larger the images are that are predicted."""
    encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=False)
    labelled, others = split(len(images), labels, seed)
    features, _ = embedded(encoder, [images.read(k) for k in labelled])
    output = learning.Output(learning.SINGLE, len(images.classes))
    head = learning.fit_head(features, images.targets[labelled], output, pool=features)
    files = [images.read(k) for k in others]
    return Case(encoder, head, output, files if times == 1 else [enlarged(file, times) for file in files])


def multiple(images: LabelledImages, labels: int, seed: int) -> Case:
    encoder = learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=False)
    labelled, others = split(len(images), labels, seed)
    features, _ = embedded(encoder, [images.read(k) for k in labelled])
    output = learning.Output(learning.MULTIPLE, ATTRIBUTES.shape[1])
    targets = ATTRIBUTES[images.targets[labelled]].astype(np.int8)
    head = learning.fit_head(features, targets, output, pool=features)
    return Case(encoder, head, output, [images.read(k) for k in others])


def segmentation(labels: int, seed: int) -> Case:
    encoder, frames = (
        learning.make_encoder(learning.DEFAULT_ENCODER, stored=no_network, dense=True, input_size=SIDE),
        datasets.camvid("train"),
    )
    labelled, others = split(len(frames), labels, seed)
    classes, layout = len(frames.classes), encoder.patches
    _, patches = embedded(encoder, [frames.read(k) for k in labelled])
    assert layout is not None and patches is not None
    masks = np.stack(
        [
            np.asarray(Image.fromarray(frames.mask(k)).resize((MASK_SIDE, MASK_SIDE), Image.Resampling.NEAREST))
            for k in labelled
        ]
    )
    how = learning.PRETRAINED_PATCHES
    of_each = -(-how.most_cells(layout.channels, classes) // labels)
    cells, shares = layout.sampled(patches, learning.mask_shares(masks, classes, layout.side), of_each)
    head = learning.fit_pixel_head(cells, shares, balance=0.5, how=how)
    return Case(encoder, head, learning.Output(learning.SEGMENTATION, classes), [frames.read(k) for k in others])


def split(images: int, labels: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions to label and to predict."""
    order = np.random.default_rng(seed).permutation(images)
    return order[:labels], order[labels : labels + IMAGES]


def enlarged(file: bytes, times: int) -> bytes:
    image, target = Image.open(io.BytesIO(file)).convert("RGB"), io.BytesIO()
    image.resize((times * image.width, times * image.height), Image.Resampling.LANCZOS).save(target, "JPEG", quality=92)
    return target.getvalue()


CASES: dict[str, Callable[[int], Case]] = {
    "single, Caltech-101, 400 labels": lambda seed: single(some_of(datasets.caltech101(20)[0]), 400, seed),
    "single, Caltech-101, 400 labels, large": lambda seed: single(
        some_of(datasets.caltech101(20)[0]), 400, seed, times=8
    ),
    "multiple, CIFAR-10, 200 labels": lambda seed: multiple(datasets.cifar10_for_encoders(2500), 200, seed),
    "segmentation, CamVid, 60 labels": lambda seed: segmentation(60, seed),
}


def differences(case: Case) -> dict[str, float]:
    """Of the program and of whole images: the largest and the median; how often whole images give the same class."""
    file = learning.onnx_model(
        case.encoder,
        case.head,
        case.output,
        mask_side=MASK_SIDE if case.output.kind == learning.SEGMENTATION else 0,
        metadata={"classes": "[]", "input_side": str(case.encoder.input_size)},
    )
    session = onnxruntime.InferenceSession(file)
    by_program, by_whole, same = [], [], []
    with tempfile.TemporaryDirectory() as directory, mock.patch.object(sys, "argv", ["example"]):
        predict = runpy.run_path(str(save_onnx(file, Path(directory) / "model.onnx")))["predict"]
        for each in case.files:
            expected = case.backend(each)
            (Path(directory) / "image").write_bytes(each)
            by_program.append(float(np.abs(predict(Path(directory) / "image") - expected).max()))
            pixels = np.asarray(Image.open(io.BytesIO(each)).convert("RGB"))
            whole = session.run(None, {"pixels": pixels[None]})[0][0]
            by_whole.append(float(np.abs(whole - expected).max()))
            same.append(float((whole.argmax(axis=0) == expected.argmax(axis=0)).mean()))
    figures = {"program": by_program, "whole": by_whole}
    found = {
        f"{name}_{what}": float(of(values))
        for name, values in figures.items()
        for what, of in (("max", np.max), ("median", np.median))
    }
    return found | {"whole_same": float(np.mean(same))}


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="*", default=list(CASES), choices=CASES)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    with mock.patch.object(openvino_network, "_computes_bf16", lambda: False):
        for row in options.rows:
            for seed in range(options.seeds):
                if not RUNS.has(row, seed):
                    RUNS.add({"row": row, "seed": seed, "images": IMAGES} | differences(CASES[row](seed)))
    table = []
    for row in options.rows:
        runs = RUNS.of(row)
        names = ("program_max", "program_median", "whole_max", "whole_median")
        figures = [[run[name] for run in runs] for name in names]
        worst = [
            f"{max(each):.1e}" if "max" in name else f"{np.median(each):.1e}"
            for name, each in zip(names, figures, strict=True)
        ]
        same = 100 * float(np.mean([run["whole_same"] for run in runs]))
        table.append([row, f"{len(runs)} x {IMAGES}", *worst, f"{same:.2f} %"])
    RUNS.write_table(
        [
            "probe",
            "n",
            "program, largest",
            "program, median",
            "whole images, largest",
            "whole images, median",
            "whole images, same class",
        ],
        table,
    )


if __name__ == "__main__":
    main()
