"""A refit takes 0.07 s (median) if training is interleaved, and 0.04 s if training runs in a child process.

    python -m benchmarks.decisions.refit_beside_training [--refits 30] [--output FILE]

The worker interleaves (`processes/project_slot.py`); this is the measurement behind that choice. 5,000 images of 32 px,
500 labels. Refits are requested at random times; measured is the time from the request to the ranking of the pool.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pt4al_backend import learning

POOL, LABELS, WIDTH, CLASSES = 5000, 500, 448, 10


class Noise:
    """Images of 32 px."""

    size = 32

    def read(self, rows: np.ndarray) -> np.ndarray:
        return np.random.default_rng(0).integers(0, 256, (len(rows), 32, 32, 3), dtype=np.uint8)


class Nowhere:
    """A checkpoint that keeps nothing."""

    def load(self) -> None:
        return None

    def save(self, arrays: learning.Arrays, meta: dict[str, object]) -> None:
        """Keep nothing."""


def training() -> Iterator[learning.Progress]:
    """A pretext training without end."""
    recipe = learning.recipes("fast", device="cpu", pool=POOL, image_size=32)
    while True:
        yield from learning.train_pretext(
            Noise(), np.arange(POOL), recipe=recipe.pretext, seed=0, device="cpu", checkpoint=Nowhere()
        )


def train_for_ever(steps: Any) -> None:
    """The child process."""
    os.nice(10)
    for _ in training():
        steps.value += 1


def refit(features: np.ndarray, targets: np.ndarray) -> None:
    """What the worker does after a label."""
    learning.fit_head(features[:LABELS], targets, learning.Output("single", CLASSES)).logits(features)


def measure(refits: int, *, child: bool) -> dict[str, float]:
    """Seconds from asking to answer, and training steps a second meanwhile."""
    draw = random.Random(0)
    rng = np.random.default_rng(0)
    features = rng.normal(size=(POOL, WIDTH)).astype(np.float16)
    targets = rng.integers(0, CLASSES, LABELS)
    steps = multiprocessing.get_context("spawn").Value("q", 0)
    process = multiprocessing.get_context("spawn").Process(target=train_for_ever, args=(steps,), daemon=True)
    work = training()
    if child:
        process.start()
        while steps.value < 3:
            time.sleep(0.1)
    else:
        next(work)
    seconds, began, first = [], time.monotonic(), steps.value
    for _ in range(refits):
        requested_at = time.monotonic() + draw.uniform(0.5, 1.5)
        while time.monotonic() < requested_at:
            if child:
                time.sleep(max(requested_at - time.monotonic(), 0))
            else:
                next(work)
                steps.value += 1
        refit(features, targets)
        seconds.append(time.monotonic() - requested_at)
    rate = (steps.value - first) / (time.monotonic() - began)
    if child:
        process.kill()
        process.join()
    return {
        "n": refits,
        "median": round(statistics.median(seconds), 3),
        "worst": round(max(seconds), 3),
        "training_steps_per_second": round(rate, 2),
    }


def main() -> None:
    """Measure both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--refits", type=int, default=30)
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    figures = {
        "interleaved": measure(options.refits, child=False),
        "child_process": measure(options.refits, child=True),
        "command": " ".join(["python", "benchmarks/decisions/refit_beside_training.py", *sys.argv[1:]]),
    }
    print(json.dumps(figures, indent=1))
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
