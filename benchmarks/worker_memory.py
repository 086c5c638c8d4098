"""Does the worker's memory grow with the pool? Its loop over many images, from the first sync until all is done.

    python -m benchmarks.worker_memory --images 50000 [--side 64] [--encoder rotation] [--output FILE]

No Label Studio: a platform in memory serves generated photographs, so that only the worker is measured.
Prints the resident memory of the process before the project, and its peak.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image

from benchmarks.by_hand import settings_of
from pt4al_backend.labelling.platform import Drawing, ProjectInfo, TaskState, Window
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.processes.scheduler import Worker
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

CLASSES = ("a", "b", "c")
QUESTIONS = (Question("class", SINGLE, CLASSES),)


class ManyImages:
    """A `LabellingPlatform` with n tasks, of which the first 300 are labelled."""

    def __init__(self, n: int, side: int) -> None:
        self._n = n
        draw = np.random.default_rng(0)
        self._files = [self._png(draw.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(16)]
        self.version = ""

    @staticmethod
    def _png(pixels: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        return file.getvalue()

    def is_connected(self) -> bool:
        return True

    def project(self) -> ProjectInfo:
        return ProjectInfo("many", "config", QUESTIONS, self._n, 300, 0, self.version)

    def tasks(self, since: str | None) -> Iterator[tuple[list[TaskState], str]]:
        for start in range(1, self._n + 1 if since is None else 1, 1000):
            ids = range(start, min(start + 1000, self._n + 1))
            yield (
                [
                    TaskState(i, "image", "1", {"class": CLASSES[i % 3]} if i <= 300 else {}, False, int(i <= 300), 0)
                    for i in ids
                ],
                "seen",
            )

    def missing(self, known: Sequence[int]) -> set[int]:
        return set()

    def images_behind(self, task: int) -> dict[int, str]:
        return {}

    def images_of(self, tasks: Sequence[int]) -> dict[int, str]:
        return dict.fromkeys(tasks, "image")

    def drawing(
        self, question: Question, regions: Sequence[dict[str, Any]], *, side: int, size: tuple[int, int]
    ) -> Drawing:
        raise NotImplementedError  # there is no segmentation

    def image(self, task: int, value: str) -> bytes:
        return self._files[task % 16]

    def image_name(self, task: int, value: str) -> str:
        return value

    def publish(self, window: Window) -> None:
        self.version = window.version

    def sweep(self, keep: Collection[str]) -> bool:
        return True

    def close(self) -> None:
        """There are no connections."""


def main() -> None:
    """Run one project until its pretext task is learned, its batches are cut and its networks are trained."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--encoder", default="auto")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        settings = settings_of(
            data_dir=Path(directory),
            encoder=options.encoder,
            image_size=options.side,
            pretext_epochs=1,
            main_epochs=2,
        )
        store = Store(settings.data_dir)
        row = store.connect(url="http://x", number=1, created="1", access_token="", label_config="")
        platform = ManyImages(options.images, options.side)
        worker = Worker(settings, store, lambda project, lock: platform)
        before, began = psutil.Process().memory_info().rss, time.monotonic()
        stages: dict[str, float] = {}

        def project() -> Project:
            current = store.project(row.id)
            assert current is not None
            return current

        while worker.turn() or project().stage != "ready":
            stages.setdefault(project().stage, round(time.monotonic() - began))
        for _ in range(20):  # refit and rank the whole pool again
            store.update(row.id, ranked_revision=-1)
            worker.turn()
        worker.close()
        store.close()
    figures = {
        "images": options.images,
        "side": options.side,
        "rss_before_mb": round(before / 1e6),
        "rss_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "rss_after_mb": round(psutil.Process().memory_info().rss / 1e6),
        "seconds_to_stage": stages,
        "command": " ".join(["python", "benchmarks/worker_memory.py", *sys.argv[1:]]),
    }
    print(json.dumps(figures, indent=1))
    if options.output:
        options.output.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
