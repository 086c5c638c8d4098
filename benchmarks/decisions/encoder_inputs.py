"""At which side should a pretrained encoder see images? At 224 px, small ones too: 128 px cost CIFAR-10 seven points.

    python -m benchmarks.decisions.encoder_inputs [--sets cifar10] [--encoders efficientnet_lite0] [--sides 128 224]

Training images only, some hundreds to thousands of each set. Some are labelled at random, ten times; a linear probe on
their embeddings is measured on the others: accuracy in per cent. `crop` is the middle square of an image, `pad` the
image in the middle of a grey square; otherwise an image is squashed to a square, as the backend does.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from benchmarks import datasets
from benchmarks.kept_runs import KeptRuns
from benchmarks.tables import spread
from pt4al_backend import learning
from pt4al_backend.datasets.known_images import LabelledImages

RUNS = KeptRuns(
    Path(__file__).parent / "results" / "encoder_inputs.json", "python -m benchmarks.decisions.encoder_inputs"
)
SEEDS = 10
SETS: dict[str, tuple[Callable[[], LabelledImages], int]] = {
    "cifar10": (lambda: datasets.cifar10_for_encoders(2500), 100),
    "caltech101": (lambda: datasets.caltech101(20)[0], 400),
    "rsscn7": (lambda: datasets.rsscn7()[0], 100),
    "neu_det": (lambda: datasets.neu_det()[0], 100),
    "brain_mri": (lambda: datasets.brain_mri()[0], 100),
}
"""Name of a set -> its images, and how many are labelled."""
MOST = 2500
WAYS: dict[str, Callable[[Image.Image, int], Image.Image]] = {
    "squash": lambda image, side: image.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0),
    "crop": lambda image, side: ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR),
    "pad": lambda image, side: ImageOps.pad(image, (side, side), Image.Resampling.BILINEAR, color=(127, 127, 127)),
}


def embedded(images: LabelledImages, encoder: learning.Encoder, way: str) -> np.ndarray:
    """(n, D)"""
    step, parts = encoder.images_per_step("cpu"), []
    for start in range(0, len(images), step):
        chunk = [
            np.asarray(WAYS[way](Image.open(io.BytesIO(images.read(k))).convert("RGB"), encoder.input_size))
            for k in range(start, min(start + step, len(images)))
        ]
        parts.append(encoder.embed_pixels(np.stack(chunk), device="cpu")[0])
    return np.concatenate(parts)


def measure(features: np.ndarray, images: LabelledImages, labels: int, seed: int) -> float:
    order = np.random.default_rng(seed).permutation(len(images))
    labelled, others = order[:labels], order[labels:]
    output = learning.Output(learning.SINGLE, len(images.classes))
    head = learning.fit_head(features[labelled], images.targets[labelled], output)
    return float((head.logits(features[others]).argmax(axis=1) == images.targets[others]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=SETS)
    parser.add_argument("--encoders", nargs="*", default=[learning.DEFAULT_ENCODER])
    parser.add_argument("--sides", nargs="*", type=int, default=[64, 96, 128, 160, 224])
    parser.add_argument("--ways", nargs="*", default=["squash"], choices=WAYS)
    options = parser.parse_args()
    for name in options.sets:
        make, labels = SETS[name]
        images: LabelledImages | None = None
        for encoder_name in options.encoders:
            for side in options.sides:
                for way in options.ways:
                    row = f"{name}, {encoder_name.partition('@')[0]}, {side} px, {way}"
                    if all(RUNS.has(row, seed) for seed in range(SEEDS)):
                        continue
                    images = images or some_of(make())
                    encoder = learning.make_encoder(encoder_name, stored=no_network, dense=False, input_size=side)
                    features = embedded(images, encoder, way)
                    for seed in range(SEEDS):
                        if not RUNS.has(row, seed):
                            accuracy = measure(features, images, labels, seed)
                            RUNS.add({"row": row, "seed": seed, "accuracy": round(accuracy, 4)})
    show()


def no_network(name: str) -> learning.Weights:
    raise SystemExit(f"{name} belongs to a project: name a pretrained encoder.")


def some_of(images: LabelledImages) -> LabelledImages:
    """At most `MOST` of the images, drawn at random with a fixed seed."""
    return images.take(np.sort(np.random.default_rng(0).permutation(len(images))[:MOST]))


def show() -> None:
    rows = dict.fromkeys(run["row"] for run in RUNS.all())
    results = [(row, [100 * run["accuracy"] for run in RUNS.of(row)]) for row in sorted(rows)]
    RUNS.write_table(["set, encoder, side, way", "accuracy, %"], [(row, spread(values)) for row, values in results])


if __name__ == "__main__":
    main()
