"""One simulated project: the real loop, with known labels for answers, measured after every round."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend import learning
from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.datasets.known_images import KnownImages
from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.reports.stages import time_left
from pt4al_backend.settings import Settings
from pt4al_backend.simulate.measure import Measure
from pt4al_backend.simulate.oracle import KnownLabels
from pt4al_backend.store import tables
from pt4al_backend.store.decoders import Decoders
from pt4al_backend.store.files import replacing
from pt4al_backend.store.pixels import PixelStore
from pt4al_backend.store.store import Store

SLICE = 0.5  # seconds of work between two syncs
CHUNK = 256  # test images decoded at a time
KEPT = "kept.json"  # positions of the test images that could be read

Round = dict[str, Any]


@dataclass(frozen=True)
class Replay:
    """The images of a simulation, and how they are labelled."""

    pool: KnownImages
    """The images to label."""
    test: KnownImages
    """The images to measure on."""
    rounds: int
    query_size: int
    answers: int
    """How many labels are given between two syncs of the loop."""


class Simulation:
    """A project with its own store. It continues where a process that was killed has stopped."""

    def __init__(self, replay: Replay, settings: Settings, show: Callable[[str], None]) -> None:
        """Open the store in the settings' data directory.

        Args:
            show: Called often, with what the simulation is doing.
        """
        self._replay, self._show = replay, show
        self._rounds_file = settings.data_dir / "rounds.json"
        self._tests_dir = settings.data_dir / "test"
        self._platform = KnownLabels(replay.pool)
        self._store = Store(settings.data_dir)
        project = self._store.connect(url="", number=1, created="1", access_token="", label_config="")
        device = learning.resolve_device(settings.device)
        self._workspace = Workspace(project.id, self._store, self._platform, settings, device)
        self._loop = ProjectLoop(self._workspace)
        self._training = self._other = 0.0  # seconds since the last round was measured
        if project.pretext_pool:
            pool = self._store.pool(project)
            self._platform.answer(pool.task[pool.labelled].tolist())

    def close(self) -> None:
        self._loop.close()
        self._store.close()

    def prepare(self) -> list[str]:
        """Do everything before the first label: images, pretext task, first queue, test images.

        Returns:
            An error for each image that cannot be read; these are left out.

        Raises:
            PT4ALError: No test image can be read.
        """
        self._settle()
        tests = PixelStore(self._tests_dir, size=self._workspace.project().image_size)
        errors = [
            reason for _, reason in self._store.unreadable(self._workspace.project_id, limit=len(self._replay.pool))
        ]
        test_errors: list[str] = []
        kept: list[int] = []
        with Decoders() as decoders:
            for start in range(0, len(self._replay.test), CHUNK):
                pixels = []
                for position in range(start, min(start + CHUNK, len(self._replay.test))):
                    try:
                        data = self._replay.test.read(position)
                        pixels.append(decoders.decode(data, size=tests.size).pixels)
                    except UnreadableImageError as error:
                        test_errors.append(f"{self._replay.test.name(position)}: {error}")
                    else:
                        kept.append(position)
                if pixels:
                    tests.write(np.arange(len(kept) - len(pixels), len(kept)), np.stack(pixels))
                self._show(f"test images: {min(start + CHUNK, len(self._replay.test))} of {len(self._replay.test)}")
        if not kept:
            raise PT4ALError(f"None of the test images could be read. The first: {test_errors[0]}")
        (self._tests_dir / KEPT).write_text(json.dumps(kept))
        return errors + test_errors

    def play(self, report: Callable[[list[Round]], None]) -> list[Round]:
        """Label and train to the end.

        Args:
            report: Called after each round with all rounds so far.

        Returns:
            An entry per round.
        """
        rounds = self._rounds()
        self._settle()
        while len(rounds) < self._replay.rounds:
            wanted = (len(rounds) + 1) * self._replay.query_size
            while (labels := self._labels()) < wanted and self._platform.queue:
                self._answer(min(self._replay.answers, wanted - labels))
            if labels == (rounds[-1]["labels"] if rounds else 0):  # unreadable images made the pool smaller
                break
            rounds.append(self._measured(len(rounds), labels))
            with replacing(self._rounds_file) as unfinished:
                unfinished.write_text(json.dumps(rounds))
            report(rounds)
        return rounds

    @property
    def rounds_done(self) -> int:
        """How many rounds are done, including those of earlier processes."""
        return len(self._rounds())

    def _rounds(self) -> list[Round]:
        return json.loads(self._rounds_file.read_text()) if self._rounds_file.exists() else []

    def _labels(self) -> int:
        return self._store.totals(self._workspace.project_id).labelled

    def _answer(self, count: int) -> None:
        """Label the first `count` images of the queue, and let the loop do what follows."""
        self._platform.answer(self._platform.queue[:count])
        self._settle()

    def _settle(self) -> None:
        """Run the loop until there is nothing left to do."""
        working = True
        while working:
            started = time.monotonic()
            self._loop.sync()
            self._loop.update_queue()
            chosen = time.monotonic()
            working = self._loop.work(SLICE)
            ended = time.monotonic()
            trained = working and self._loop.last_stage == tables.TRAINING
            self._training += ended - chosen if trained else 0.0
            self._other += chosen - started if trained else ended - started
            project = self._workspace.project()
            self._show(f"{project.stage_detail} {time_left(project.eta_seconds)}" if working else "choosing images")
        self._loop.update_queue()

    def _measured(self, number: int, labels: int) -> Round:
        project = self._workspace.project()
        positions = np.array(json.loads((self._tests_dir / KEPT).read_text()), dtype=np.int64)
        pixels = PixelStore(self._tests_dir, size=project.image_size)
        figures = Measure(self._replay.test, positions, pixels).figures(self._workspace)
        training, other = self._training, self._other
        self._training = self._other = 0.0
        return {
            "round": number,
            "labels": labels,
            **figures,
            **self._replay.pool.effort(self._labelled()),
            "train_seconds": round(training, 2),
            "other_seconds": round(other, 2),
        }

    def _labelled(self) -> NDArray[np.int64]:
        """Positions of the images that have been labelled so far."""
        pool = self._store.pool(self._workspace.project())
        return pool.task[pool.labelled] - 1
