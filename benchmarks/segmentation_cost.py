"""What segmentation costs a person who waits: the first queue, a round's training, memory.

    python -m benchmarks.segmentation_cost

300 frames of CamVid at 512 x 512 pixels go through the shipped loop and are labelled from their masks: everything
before the first label (decoding, rotation network, batches, embeddings), then a round of 12 labels. Measures wall-clock
seconds and the peak resident memory of the process, including PyTorch. Nothing else should run meanwhile.
"""

from __future__ import annotations

import io
import json
import resource
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import datasets
from benchmarks.by_hand import settings_of
from pt4al_backend.simulate.results import environment
from pt4al_backend.simulate.simulation import Replay, Simulation

IMAGES, SIDE, LABELS, CYCLES = 300, 512, 12, 5
OUT = Path(__file__).parent / "results" / "segmentation_cost.json"


def main() -> None:
    frames = datasets.camvid("train").take(np.arange(IMAGES))
    files = [enlarged(frames.read(k)) for k in range(IMAGES)]
    pool = replace(frames, read=files.__getitem__)
    test = pool.take(np.arange(4))  # their accuracy is not used
    with tempfile.TemporaryDirectory() as directory:
        settings = settings_of(
            data_dir=Path(directory), cycles=CYCLES, query_size=LABELS, unlabelled_pixels="ignore", train_growth=0
        )
        replay = Replay(pool, test, rounds=1, query_size=LABELS, answers=LABELS)
        with closing(Simulation(replay, settings, lambda _: None)) as simulation:
            began = time.perf_counter()
            simulation.fetch()
            simulation.prepare()
            first_queue = time.perf_counter() - began
            [first] = simulation.play(lambda _: None)
    results = {
        "images": IMAGES,
        "side": SIDE,
        "labels": LABELS,
        "seconds_to_first_queue": round(first_queue, 1),
        "seconds_of_training": first["train_seconds"],
        "peak_memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2),
        "environment": environment(),
    }
    OUT.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def enlarged(data: bytes) -> bytes:
    """An image as a JPEG file of SIDE x SIDE pixels."""
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).convert("RGB").resize((SIDE, SIDE)).save(file, "JPEG")
    return file.getvalue()


if __name__ == "__main__":
    main()
