"""The loop where several things are asked about an image, or which pixels show what. Real networks, a real store."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.coloured_shapes import NOTHING, SHAPES, SIDE, shape_mask, shape_png, shape_regions, shapes_on
from support.known_labels import KnownLabels

from pt4al_backend import learning
from pt4al_backend.active_learning.draw_masks import draw_masks
from pt4al_backend.active_learning.fit_probes import refit
from pt4al_backend.active_learning.loop import ProjectLoop
from pt4al_backend.active_learning.pool_predictions import PoolPredictions
from pt4al_backend.active_learning.stored_networks import StoredNetworks
from pt4al_backend.active_learning.workspace import Workspace, questions
from pt4al_backend.label_studio.label_config import brush_rle
from pt4al_backend.label_studio.label_config.regions import draw, misfits
from pt4al_backend.labelling.label_type import LabelType
from pt4al_backend.labelling.label_types import LABEL_TYPES
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.platform import Drawing, Pick, ProjectInfo, TaskState
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.sampling.uncertainty import mean_rank
from pt4al_backend.settings import METHODS, Settings
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project
from pt4al_backend.store.tasks import regions_digest

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


class Rig:
    """A loop over `n` shapes in a store of its own."""

    def __init__(self, directory: Path, *asked: Question, n: int = 32, **settings: Any) -> None:
        quick = {"pretext_epochs": 1, "main_epochs": 2, "image_size": 32, "device": "cpu", "diversity": "off"}
        small = {"cycles": 2, "query_size": 6, "slack": 2}
        self.settings = Settings(data_dir=directory, **quick | small | settings)
        self.platform = KnownShapes(n, asked)
        self.store = Store(self.settings.data_dir)
        self.id = self.store.connect(url="http://x", number=1, created="1", access_token="", label_config="").id
        self.restart()

    def restart(self) -> None:
        """As a worker that was killed does."""
        self.workspace = Workspace(self.id, self.store, self.platform, self.settings, "cpu")
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
            self.look()
            if not self.loop.work(0.5):
                self.loop.steer()
                return
        raise AssertionError("the loop does not come to rest")

    def train(self) -> None:
        """As Start Training does."""
        self.store.wake([self.id], train=True)
        self.settle()

    def look(self) -> None:
        self.loop.look()
        while not self.loop.has_looked:
            self.loop.look()
        self.loop.steer()

    def predictions(self) -> PoolPredictions:
        """Of the newest network, refitted to all answers there are."""
        project = self.project
        pool = self.store.pool(project).in_batches()
        sources = self.workspace.sources(project)
        return refit(pool, questions(project), sources, uncertainty=self.settings.measure)

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
def opened(directory: Path, *asked: Question, **settings: Any) -> Iterator[Rig]:
    rig = Rig(directory, *asked, **settings)
    try:
        yield rig
    finally:
        rig.close()


def outputs(rig: Rig) -> list[tuple[LabelType, int]]:
    return [(LABEL_TYPES[output["kind"]], output["classes"]) for output in rig.spec()["outputs"]]


# Several classes


def test_several_classes_per_image(tmp_path: Path) -> None:
    with opened(tmp_path, PRESENT, n=60, main_epochs=10, query_size=25, slack=20) as rig:
        rig.settle()
        assert all(pick.guesses == {} for pick in rig.picks.values())
        rig.platform.answer(*range(1, 31))
        rig.settle()
        assert rig.project.main_generation == 1
        assert outputs(rig) == [(MULTIPLE, 2)]
        assert rig.store.answers(rig.id)[8] == {"present": []}  # nothing is there: an answer too
        assert rig.store.totals(rig.id).labelled == 30
        right = []
        for task, pick in rig.picks.items():
            guess = pick.guesses["present"]
            assert guess.value in ((), ("disc",), ("square",), ("disc", "square"))
            assert 0.5 <= guess.probability <= 1
            right += [(name in guess.value) == (name in shapes_on(task - 1)) for name in SHAPES]
        assert np.mean(right) > 0.8
        (view,) = rig.predictions().views
        # Entropy, unless another measure is asked for; of each class alone, so one bit at most.
        assert np.nanmin(view.uncertainty) >= 0 and np.nanmax(view.uncertainty) <= np.log(2) + 1e-6


# Several questions


def test_partial_answers_to_two_questions(tmp_path: Path) -> None:
    with opened(tmp_path, EMPTY, PRESENT, train_growth=0) as rig:
        rig.settle()
        rig.platform.answer(1, 2, 8, only=["empty"])
        rig.look()
        assert {name for pick in rig.picks.values() for name in pick.guesses} == {"empty"}
        rig.platform.answer(3, 4, only=["present"])
        rig.platform.answer(16)
        rig.train()
        assert outputs(rig) == [(SINGLE, 2), (MULTIPLE, 2)]
        assert all(list(pick.guesses) == ["empty", "present"] for pick in rig.picks.values())
        assert rig.store.answers(rig.id) == {
            1: {"empty": "no"},
            2: {"empty": "no"},
            3: {"present": shapes_on(2)},
            4: {"present": shapes_on(3)},
            8: {"empty": "yes"},
            16: {"empty": "yes", "present": []},
        }
        stored = rig.store.ranking(rig.id)
        assert stored is not None
        arrays, asked = stored
        assert asked == (EMPTY, PRESENT)
        for task, pick in rig.picks.items():
            position = int(arrays.find(np.array([task]))[0])
            assert arrays.predictions_at(position, asked) == pick.guesses  # /predict says the same

        rig.platform.answer(3, only=["empty", "present"])  # the other half
        rig.look()
        assert rig.store.answers(rig.id)[3] == {"empty": "no", "present": shapes_on(2)}


def test_several_questions_are_combined_by_their_mean_rank(tmp_path: Path) -> None:
    with opened(tmp_path, EMPTY, PRESENT, cycles=1, train_growth=0, query_size=30) as rig:
        rig.settle()
        rig.platform.answer(1, 2, 3, 8, 16)
        rig.settle()
        assert rig.project.main_generation == 0  # the refit alone
        predictions = rig.predictions()
        assert [view.question for view in predictions.views] == [EMPTY, PRESENT]
        expected = mean_rank([view.uncertainty for view in predictions.views])
        assert predictions.uncertainty.tolist() == expected.tolist()
        rig.platform.answer(5)
        rig.settle()
    with opened(tmp_path / "uncertain", EMPTY, PRESENT, strategy="entropy", train_growth=0) as rig:
        rig.settle()
        rig.platform.answer(*list(rig.picks)[:6])
        rig.settle()
        pool = rig.store.pool(rig.project)
        of = dict(zip(pool.task.tolist(), rig.predictions().uncertainty.tolist(), strict=True))
        served = [of[task] for task in rig.picks]
        rest = [of[task] for task in of if task not in rig.picks and task not in rig.store.answers(rig.id)]
        assert served == sorted(served, reverse=True) and min(served) >= max(rest)


# Segmentation


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Sixty images, the first of them labelled and learnt from."""
    with opened(tmp_path_factory.mktemp("segmented"), MASK, n=60, main_epochs=15, query_size=30, slack=10) as rig:
        rig.settle()
        rig.platform.answer(*range(1, 21))
        rig.settle()
        yield rig


def test_masks_are_guessed(segmented: Rig) -> None:
    rig = segmented
    assert rig.project.main_generation == 1
    assert rig.project.dense and rig.spec()["dense"]
    assert outputs(rig) == [(SEGMENTATION, 3)]  # and the background
    side = learning.mask_side(32)
    right = []
    front, behind = list(rig.picks.values())[:20], list(rig.picks.values())[20:]
    for pick in front:
        guess = pick.guesses["mask"]
        assert (pick.width, pick.height) == (SIDE, SIDE)
        assert guess.value.shape == (side, side) and guess.value.dtype == np.uint8
        assert guess.value.max() <= NOTHING
        assert 1 / 3 <= guess.probability <= 1
        right.append((guess.value == shape_mask(pick.task - 1)[2::4, 2::4]).mean())
    assert np.mean(right) > 0.85
    assert behind and all(pick.guesses == {} for pick in behind)  # made anew before it is their turn


def test_answers_are_drawn_at_the_side_they_are_learnt_at(segmented: Rig) -> None:
    rig = segmented
    for task in (1, 2, 8):
        mask = rig.drawn(task)
        assert mask is not None
        assert (mask == draw(shape_regions(task - 1), SHAPES, side=16, background=True)).all()
        assert (mask == shape_mask(task - 1)[2::4, 2::4]).mean() > 0.95
    empty = rig.drawn(8)
    assert empty is not None and (empty == NOTHING).all()


def test_pixels_decide_what_is_uncertain(segmented: Rig) -> None:
    (view,) = segmented.predictions().views
    pool = segmented.store.pool(segmented.project)
    assert (np.isfinite(view.uncertainty) == np.isin(pool.batch, [0, 1]) | pool.labelled).all()
    assert np.nanmin(view.uncertainty) >= 0 and np.nanmax(view.uncertainty) <= np.log(3) + 1e-6
    assert np.nanstd(view.uncertainty) > 0
    stored = segmented.store.ranking(segmented.id)
    assert stored is not None
    assert stored[0].predictions_at(0, stored[1]) == {}  # masks are not kept


def test_regions_that_change_are_drawn_again(segmented: Rig) -> None:
    rig = segmented
    everywhere = [[0.0, 0.0], [100.0, 0.0], [100.0, 100.0], [0.0, 100.0]]
    square = {"label": "square", "width": SIDE, "height": SIDE, "points": everywhere}
    rig.platform.answer(2, mask=[square])
    rig.look()  # few enough for a refit not to wait
    mask = rig.drawn(2)
    assert mask is not None and (mask == 1).all()
    rig.platform.answer(*range(2, 9), mask=[square | {"label": "disc"}])
    rig.look()
    assert rig.drawn(3) is None
    assert rig.loop.busy_with == "" and rig.predictions().views  # a refit on the others does not wait for them
    rig.settle()
    for task in range(2, 9):
        mask = rig.drawn(task)
        assert mask is not None and (mask == 0).all()
    rig.platform.answer(*range(2, 9))
    rig.settle()
    mask = rig.drawn(8)
    assert mask is not None and (mask == NOTHING).all()


def test_a_mask_is_of_the_regions_it_was_drawn_from(segmented: Rig) -> None:
    """Regions that change while masks are drawn, and change back."""
    rig = segmented
    square = {"label": "square", "width": SIDE, "height": SIDE, "points": [[0, 0], [100, 0], [100, 100], [0, 100]]}
    tasks = range(2, 9)
    rig.platform.answer(*tasks, mask=[square | {"label": "disc"}])
    rig.loop.look()
    drawing = draw_masks(rig.workspace)
    next(drawing)
    rig.platform.answer(8, mask=[square])
    rig.loop.look()
    assert len(list(drawing)) == 6
    rig.platform.answer(8, mask=[square | {"label": "disc"}])
    rig.settle()
    mask = rig.drawn(8)
    assert mask is not None and (mask == 0).all()
    rig.platform.answer(*tasks)
    rig.settle()


def test_no_masks_are_published_where_none_are_wanted(tmp_path: Path) -> None:
    with opened(tmp_path, MASK, n=12, preannotate=False) as rig:
        rig.settle()
        rig.platform.answer(1, 2)
        rig.settle()
        assert rig.predictions().views
        assert all(pick.guesses == {} and not pick.width for pick in rig.picks.values())


def test_pixels_outside_all_regions_can_be_ignored(tmp_path: Path) -> None:
    with opened(tmp_path, MASK, n=24, unlabelled_pixels="ignore") as rig:
        rig.settle()
        rig.platform.answer(8)  # there is nothing on it: nothing to learn
        rig.settle()
        assert rig.predictions().views == ()
        assert rig.picks and all(pick.guesses == {} for pick in rig.picks.values())
        rig.platform.answer(*range(1, 8))
        rig.train()
        assert outputs(rig) == [(SEGMENTATION, 2)]
        assert all(set(np.unique(pick.guesses["mask"].value)) <= {0, 1} for pick in rig.picks.values())
        mask = rig.drawn(1)
        assert mask is not None and NOTHING in mask  # the setting may change


@pytest.mark.parametrize(
    ("strategy", "diversity"), [("pt4al", "coverage"), ("pt4al", "gradients"), ("badge", "off"), ("random", "off")]
)
def test_all_is_asked_until_all_is_answered(tmp_path: Path, strategy: str, diversity: str) -> None:
    settings = {"strategy": strategy, "diversity": diversity, "train_growth": 0}
    with opened(tmp_path, EMPTY, PRESENT, MASK, n=14, **settings) as rig:
        rig.settle()
        result: list[int] = []
        while queue := rig.platform.queue[:4]:
            result += queue
            for place, task in enumerate(queue):
                rig.platform.answer(task, only=[["mask"], ["empty", "mask"], ["present"], ["present", "mask"]][place])
            rig.settle()
        assert sorted(result) == list(range(1, 15))
        assert rig.project.stage == "ready"
        assert rig.project.main_labels == 12  # a round's six, twice
        assert outputs(rig) == [(SINGLE, 2), (MULTIPLE, 2), (SEGMENTATION, 3)]
        assert [view.question.name for view in rig.predictions().views] == ["empty", "present", "mask"]
        assert rig.loop.work(0.1) is False


# The config changes


def test_everything_starts_anew_for_a_segmentation_and_back(tmp_path: Path) -> None:
    with opened(tmp_path, PRESENT, n=20, image_size=0) as rig:
        rig.settle()
        assert (rig.project.image_size, rig.project.dense) == (64, False)
        rig.platform.answer(*range(1, 8))
        rig.train()
        assert rig.project.main_generation == 1
        before = list(rig.platform.queue)

        rig.platform.questions = (MASK,)
        rig.look()
        assert rig.platform.queue == before  # stays until there is another
        rig.settle()
        project = rig.project
        assert (project.dense, project.main_generation, project.pretext_generation) == (True, 0, 1)
        assert rig.store.totals(rig.id).labelled == 0
        assert rig.spec()["dense"]
        assert rig.picks and all(pick.guesses == {} for pick in rig.picks.values())
        rig.platform.answer(*range(1, 8))
        rig.train()
        assert rig.project.main_generation == 1
        assert all("mask" in pick.guesses for pick in rig.picks.values())

        rig.platform.questions = (PRESENT,)
        rig.platform.answer(1, 2)
        rig.settle()
        assert (rig.project.dense, rig.spec()["dense"]) == (False, False)
        assert rig.store.totals(rig.id).labelled == 2
        assert all(list(pick.guesses) == ["present"] for pick in rig.picks.values())
        assert not list(rig.store.pixels_dir(rig.id).glob("masks-*"))
        assert not list(rig.store.models_dir(rig.id).glob("patches-*"))


@pytest.mark.parametrize("labelled", [0, 2, 6])
def test_a_project_at_rest_starts_anew(tmp_path: Path, labelled: int) -> None:
    """Also where no answer changes, and where the answers to the new question have been there all the time."""
    with opened(tmp_path, EMPTY, n=12, train_growth=0) as rig:
        rig.settle()
        rig.platform.answer(*range(1, labelled + 1), only=["empty", "mask"])
        rig.settle()
        rig.platform.questions = (EMPTY, MASK)
        rig.settle()
        assert rig.project.dense and rig.spec()["dense"]
        for pick in rig.picks.values():
            assert list(pick.guesses) == (["empty", "mask"] if labelled else [])


def test_other_labels_of_regions_are_drawn_anew(tmp_path: Path) -> None:
    with opened(tmp_path, MASK, n=12, train_growth=0) as rig:
        rig.settle()
        rig.platform.answer(*range(1, 7))
        rig.settle()
        rig.platform.questions = (replace(MASK, classes=("ring", *SHAPES)),)
        rig.settle()
        mask = rig.drawn(1)
        assert mask is not None
        assert set(np.unique(mask)) == {1 + SHAPES.index(name) for name in shapes_on(0)} | {3}
        assert rig.project.pretext_generation == 1  # networks stay


def test_a_kill_on_the_way_to_a_new_start_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, PRESENT, n=12) as rig:
        rig.settle()
        rig.platform.answer(1, 2, 3)
        rig.settle()
        rig.platform.questions = (MASK,)
        rig.platform.answer(4, 5)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(rig.store, "fetch_again", _kill)
            rig.settle()
        rig.restart()
        rig.settle()
        assert rig.project.dense and all("mask" in pick.guesses for pick in rig.picks.values())


def _kill(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


# Notes


def test_what_cannot_be_used_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = 'A region of "mask" is left out: it has no label.'
    with opened(tmp_path, MASK, n=8) as rig, caplog.at_level(logging.WARNING):
        rig.settle()
        rig.platform.note(3, said)
        for _ in range(3):
            rig.look()
        rig.platform.questions = (replace(MASK, name="brush"),)  # every task is read again
        rig.look()
        assert caplog.messages == [f"project 1, task 3: {said}"]
        assert rig.store.notes(rig.id) == [(3, said)]
        rig.platform.note(3)
        rig.look()
        assert rig.store.notes(rig.id) == []


def test_what_was_painted_on_another_image_is_not_learnt(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is noticed as soon as both are known: the region and the image."""
    side = learning.mask_side(32)

    def painted(width: int, height: int) -> dict[str, Any]:
        packed = brush_rle.packed(np.ones(width * height, dtype=bool))
        return {"label": "square", "width": width, "height": height, "rle": base64.b64encode(packed).decode()}

    whole = {"label": "disc", "points": [[0, 0], [50, 0], [50, 100], [0, 100]]}
    said = (
        f"A region is left out: it was painted on an image of {SIDE} x {2 * SIDE} pixels, and this one has "
        f"{SIDE} x {SIDE}; paint it again."
    )
    with opened(tmp_path, MASK, n=8) as rig, caplog.at_level(logging.WARNING):
        rig.platform.answer(3, mask=[whole, painted(SIDE, 2 * SIDE)])
        for _ in range(2):
            rig.settle()
        mask = rig.drawn(3)
        assert mask is not None
        assert (mask[:, : side // 2] == SHAPES.index("disc")).all() and (mask[:, side // 2 :] == learning.IGNORE).all()
        assert caplog.messages == [f"project 1, task 3: {said}"]
        assert rig.store.notes(rig.id) == [(3, said)]
        rig.platform.answer(3, mask=[painted(2 * SIDE, 2 * SIDE), whole])
        rig.settle()
        assert rig.store.notes(rig.id) == []


def test_regions_that_cannot_be_drawn_stop_nobody(tmp_path: Path) -> None:
    with opened(tmp_path, MASK, n=8) as rig:
        rig.platform.answer(2)
        rig.platform.answer(3, mask=[{"label": "disc", "points": None}])
        rig.settle()
        assert rig.drawn(2) is not None
        mask = rig.drawn(3)
        assert mask is not None and (mask == learning.IGNORE).all()
        ((task, note),) = rig.store.notes(rig.id)
        assert task == 3 and "cannot be drawn (TypeError)" in note
        rig.train()
        assert rig.project.main_generation == 1


def test_notes_follow_the_config(tmp_path: Path) -> None:
    """A note may come and go without any change of the annotation."""
    with opened(tmp_path, MASK, n=8) as rig:
        rig.settle()
        rig.platform.states[3] = replace(rig.platform.states[3], notes=("It has a label that is gone.",))
        rig.platform.questions = (replace(MASK, classes=("square", "disc")),)
        rig.look()
        assert rig.store.notes(rig.id) == [(3, "It has a label that is gone.")]


def test_digests_tell_regions_apart() -> None:
    first, second = shape_regions(1), shape_regions(2)
    in_other_order = [dict(reversed(region.items())) for region in first]
    assert regions_digest(first) == regions_digest(in_other_order) != regions_digest(second)
    assert regions_digest([]) != regions_digest(first)


def test_paper_asks_a_refit_what_its_network_had_no_answer_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "fast", METHODS["paper"])
    rig = Rig(tmp_path, EMPTY, PRESENT)
    rig.settle()
    rig.platform.answer(*range(1, 13), only=[EMPTY.name])
    rig.settle()
    rig.platform.answer(*range(1, 13))
    rig.settle()
    assert rig.project.main_generation == 1
    assert list(rig.workspace.sources(rig.project, "main-1").own) == [EMPTY.name]
    assert set(next(iter(rig.picks.values())).guesses) == {EMPTY.name, PRESENT.name}
    rig.train()
    assert list(rig.workspace.sources(rig.project, "main-2").own) == [EMPTY.name, PRESENT.name]
    rig.close()
