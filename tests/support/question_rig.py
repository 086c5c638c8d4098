"""A project loop in a store of its own, over shapes about which several things are asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.fit_probes import fit_and_predict
from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.active_learning.pool_predictions import PoolPredictions
from pt4al_backend.active_learning.stored_networks import StoredNetworks
from pt4al_backend.active_learning.workspace import questions
from pt4al_backend.label_studio.label_config.regions import draw, misfits
from pt4al_backend.labelling.label_type import LabelType
from pt4al_backend.labelling.label_types import LABEL_TYPES
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.platform import Drawing, Pick, ProjectInfo, TaskState
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project
from support.coloured_shapes import SHAPES, shape_png, shape_regions, shapes_on
from support.known_labels import KnownLabels
from support.narrow_workspace import NarrowWorkspace

EMPTY = Question("empty", SINGLE, ("yes", "no"))


PRESENT = Question("present", MULTIPLE, SHAPES)


MASK = Question("mask", SEGMENTATION, SHAPES)


class KnownShapes(KnownLabels):
    """Tasks 1..n show shapes 0..n-1; `questions` are asked about them."""

    def __init__(self, n: int, asked: Sequence[Question]) -> None:
        self.questions = tuple(asked)
        super().__init__(n)

    def truths(self, task: int) -> Answers:
        """The answers to all questions that there are."""
        index = task - 1
        empty = "no" if shapes_on(index) else "yes"
        return {EMPTY.name: empty, PRESENT.name: shapes_on(index), MASK.name: shape_regions(index)}

    def answer(self, *tasks: int, only: Sequence[str] | None = None, **answers: Any) -> None:
        """Answer with the truth, or with `answers`; the questions that are asked, or `only` some of them."""
        wanted = [question.name for question in self.questions] if only is None else only
        for task in tasks:
            given = answers or {name: answer for name, answer in self.truths(task).items() if name in wanted}
            self._set(replace(self.states[task], answers=given, annotations=1))

    def note(self, task: int, *notes: str) -> None:
        self._set(replace(self.states[task], notes=notes))

    # LabellingPlatform

    def project(self) -> ProjectInfo:
        return replace(super().project(), label_config=repr(self.questions), questions=self.questions)

    def image(self, task: int, value: str) -> bytes:
        return shape_png(task - 1)

    def drawing(
        self, question: Question, regions: Sequence[dict[str, Any]], *, side: int, size: tuple[int, int]
    ) -> Drawing:
        return Drawing(
            draw(regions, question.classes, side=side, background=True, size=size), tuple(misfits(regions, size))
        )

    def _known(self, task: int) -> TaskState:
        state = self.states[task]
        asked = {question.name for question in self.questions}
        answers = {name: answer for name, answer in state.answers.items() if name in asked}
        return replace(state, answers=answers, skipped=not answers and state.annotations + state.cancelled > 0)


class QuestionRig:
    """A loop over `n` shapes in a store of its own."""

    def __init__(
        self, directory: Path, *asked: Question, n: int = 32, encoder: str | None = None, **settings: Any
    ) -> None:
        """`encoder`: as in `Workspace`."""
        quick = {"pretext_epochs": 1, "main_epochs": 2, "image_size": 32, "device": "cpu", "diversity": "off"}
        small = {"cycles": 2, "query_size": 6, "slack": 2}
        self.settings = Settings(data_dir=directory, **quick | small | settings)
        self.platform = KnownShapes(n, asked)
        self.store = Store(self.settings.data_dir)
        self.id = self.store.connect(url="http://x", number=1, created="1", access_token="", label_config="").id
        self.encoder = encoder
        self.restart()

    def restart(self) -> None:
        """As a worker that was killed does."""
        self.workspace = NarrowWorkspace(self.id, self.store, self.platform, self.settings, "cpu", encoder=self.encoder)
        self.loop = ProjectLoop(self.workspace)

    @property
    def project(self) -> Project:
        project = self.store.project(self.id)
        assert project is not None
        return project

    @property
    def picks(self) -> dict[int, Pick]:
        """What is published, by task."""
        return {pick.task: pick for pick in self.platform.published[-1].picks}

    def settle(self) -> None:
        """Turn the loop until nothing is missing."""
        for _ in range(2000):
            self.sync()
            if not self.loop.work(0.5):
                self.loop.update_queue()
                return
        raise AssertionError("the loop does not come to rest")

    def train(self) -> None:
        """As Start Training does."""
        self.store.wake([self.id], train=True)
        self.settle()

    def sync(self) -> None:
        self.loop.sync()
        while not self.loop.is_synced:
            self.loop.sync()
        self.loop.update_queue()

    def predictions(self) -> PoolPredictions:
        """Of the newest network, refitted to all answers there are."""
        project = self.project
        pool = self.store.pool(project).in_batches()
        sources = self.workspace.probe_inputs(project)
        return fit_and_predict(pool, questions(project), sources, uncertainty=self.settings.measure)

    def drawn(self, task: int) -> NDArray[np.uint8] | None:
        """The mask of an image, None where that of its newest regions is not there."""
        project = self.project
        masks = self.workspace.masks(project)
        pool = self.store.pool(project)
        row = pool.row[pool.task == task]
        digest = self.store.answers(self.id)[task][MASK.name]
        assert masks is not None
        return masks.read(row)[0] if masks.has(row, [digest])[0] else None

    def spec(self) -> dict[str, Any]:
        """Of the network in office."""
        return self.workspace.networks.weights(StoredNetworks.newest(self.project)).spec

    def close(self) -> None:
        self.loop.close()
        self.store.close()


@contextmanager
def opened(directory: Path, *asked: Question, **settings: Any) -> Iterator[QuestionRig]:
    rig = QuestionRig(directory, *asked, **settings)
    try:
        yield rig
    finally:
        rig.close()


def outputs(rig: QuestionRig) -> list[tuple[LabelType, int]]:
    return [(LABEL_TYPES[output["kind"]], output["classes"]) for output in rig.spec()["outputs"]]
