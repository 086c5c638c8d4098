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
from pt4al_backend.errors import LearningError
from pt4al_backend.reports.stages import time_left
from pt4al_backend.settings import Settings
from pt4al_backend.simulate.held_out import HeldOut
from pt4al_backend.simulate.measure import Measure
from pt4al_backend.simulate.oracle import KnownLabels
from pt4al_backend.store import tables
from pt4al_backend.store.files import replacing
from pt4al_backend.store.store import Store

SLICE = 0.5  # seconds of work between two syncs

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

    def __init__(
        self,
        replay: Replay,
        settings: Settings,
        show: Callable[[str], None],
        *,
        learns_pretext: bool = True,
    ) -> None:
        """Open the store in the settings' data directory.

        Args:
            replay: The images, and how they are labelled.
            settings: The settings of the backend.
            show: Called often, with what the simulation is doing.
            learns_pretext: As in `Workspace`.
        """
        # The test images measure the model, and strategies are compared on all images, copies included.
        settings = settings.model_copy(update={"validation": 0.0, "collapse_duplicates": False})
        self._replay, self._show = replay, show
        self._rounds_file = settings.data_dir / "rounds.json"
        self._held_out = HeldOut(replay.test, settings.data_dir / "test")
        self._platform = KnownLabels(replay.pool)
        self._store = Store(settings.data_dir)
        project = self._store.connect(url="", number=1, created="1", access_token="", label_config="")
        self._workspace = Workspace(
            project.id,
            self._store,
            self._platform,
            settings,
            learning.resolve_device(settings.device),
            encoder=settings.pretrained,
            learns_pretext=learns_pretext,
            fine_tunes=False,  # it would take most of the time
            assesses=False,  # the test images do
        )
        self._loop = ProjectLoop(self._workspace)
        self._training = self._other = 0.0  # seconds since the last round was measured
        pool = self._store.pool(project)
        self._platform.answer(pool.task[pool.labelled].tolist())

    def close(self) -> None:
        self._loop.close()
        self._store.close()

    def fetch(self) -> list[str]:
        """Decode all images, and embed them with a pretrained encoder: what does not depend on a strategy or a seed.

        Returns:
            An error for each image that cannot be read; these are left out.

        Raises:
            LearningError: The encoder cannot be had.
            PT4ALError: No test image can be read.
        """
        working = True
        while working and not self._is_fetched:
            self._loop.sync()
            working = self._loop.work(SLICE)
            self._show_progress()
            if note := self._workspace.project().encoder_note:  # a live project would go on with another encoder
                raise LearningError(note)
        errors = [
            reason for _, reason in self._store.unreadable(self._workspace.project_id, limit=len(self._replay.pool))
        ]
        return errors + self._held_out.store(self._workspace, self._show)

    @property
    def _is_fetched(self) -> bool:
        totals = self._store.totals(self._workspace.project_id)
        return self._loop.is_synced and bool(totals.pool) and not totals.waiting

    def prepare(self) -> None:
        """Do everything else before the first label: the pretext task if it is learned, and the first queue."""
        self._settle()

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
            if working:
                self._show_progress()
            else:
                self._show("choosing images")
        self._loop.update_queue()

    def _show_progress(self) -> None:
        project = self._workspace.project()
        self._show(f"{project.stage_detail} {time_left(project.eta_seconds)}")

    def _measured(self, number: int, labels: int) -> Round:
        figures = Measure(self._held_out, self._workspace).figures()
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
