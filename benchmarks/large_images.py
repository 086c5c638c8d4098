"""How fast training on large images is, and how long ImageNet-1k (1,281,167 images) would take.

    python -m benchmarks.large_images [--images 512]

Caltech-101's images at 224 px, and at 64 px, the most that `fast` uses on a CPU: decoding, pretext training (four
rotations each), pretext loss, main training and embeddings, in images per second, the median of three. These give the
hours for ImageNet: decoding all images, the preset's pretext training, the loss of all images, and ten rounds, each
with the preset's training and the embeddings of all images. ImageNet itself is not used, so there are no accuracies.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import datasets
from benchmarks.by_hand import NoCheckpoint, Pixels, finish
from pt4al_backend import learning
from pt4al_backend.simulate.results import environment
from pt4al_backend.store.decode import decode

OUT = Path(__file__).parent / "results" / "large_images.json"
IMAGENET = 1_281_167
ROUNDS = 10
REPEATS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=512)
    count = parser.parse_args().images
    device = learning.resolve_device("auto")
    images, _ = datasets.caltech101(30)
    chosen = np.random.default_rng(0).permutation(len(images))[:count]
    results: dict[str, Any] = {
        "command": "python -m benchmarks.large_images",
        "device": learning.describe_device(device),
        "images": count,
        "environment": environment(),
        "sizes": {},
    }
    for size in (64, 224):
        results["sizes"][str(size)] = row = measure(images.take(chosen), size, device)
        OUT.write_text(json.dumps(results, indent=1) + "\n")
        print(size, row, flush=True)


def measure(images: Any, size: int, device: str) -> dict[str, Any]:
    recipe = learning.recipes("fast", device=device, pool=IMAGENET, image_size=size)
    rows = np.arange(len(images))
    decoding, pixels = timed(lambda: Pixels(np.stack([decode(images.read(k), size=size) for k in rows])))
    once: dict[str, Any] = {"epochs": 1, "least_steps": 0, "most_steps": 2**31}
    pretext, main_task = replace(recipe.pretext, **once), replace(recipe.main, **once)

    def learn_rotations() -> learning.Weights:
        return finish(
            learning.train_pretext(pixels, rows, recipe=pretext, seed=0, device=device, checkpoint=NoCheckpoint())
        )

    def learn_classes() -> learning.Weights:
        return finish(
            learning.train_main(
                pixels,
                rows,
                [learning.Output("single", 101)],
                [images.targets],
                recipe=main_task,
                init=weights,
                seed=0,
                device=device,
            )
        )

    seconds = {"decoding": decoding}
    seconds["pretext training"], weights = timed(learn_rotations)
    seconds["pretext loss"], _ = timed(lambda: finish(learning.pretext_losses(weights, pixels, rows, device=device)))
    seconds["main training"], _ = timed(learn_classes)
    seconds["features"], _ = timed(lambda: list(learning.network_encoder(weights).embed(pixels, rows, device=device)))
    speed = {name: len(rows) / value for name, value in seconds.items()}
    processed = {
        "decoding": IMAGENET,
        "pretext training": recipe.pretext.epochs_for(IMAGENET) * IMAGENET,
        "pretext loss": IMAGENET,
        "main training": ROUNDS * recipe.main.most_steps * recipe.main.batch,
        "features": ROUNDS * IMAGENET,
    }
    hours = {name: round(processed[name] / speed[name] / 3600, 1) for name in processed}
    return {
        "images_per_second": {name: round(value, 1) for name, value in speed.items()},
        "imagenet_images": processed,
        "imagenet_hours": hours | {"all": round(sum(hours.values()), 1)},
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Median seconds, and the last result."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds), result


if __name__ == "__main__":
    main()
