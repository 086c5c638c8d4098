"""The loop against a platform that answers by itself; real networks, real images, a real store."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.colour_encoder import colour_encoders
from support.coloured_shapes import SHAPES, SIDE, shape_mask, shapes_on
from support.known_labels import QUESTION
from support.outsiders import install
from support.question_rig import EMPTY, MASK, PRESENT, opened, outputs
from support.rig import Rig, label_half, without_pool

from pt4al_backend import learning
from pt4al_backend.label_studio.label_config.config import parse_config
from pt4al_backend.label_studio.label_config.regions import draw
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.learning import rotation_head
from pt4al_backend.sampling import queue
from pt4al_backend.store.findings import LATENCY


@pytest.mark.parametrize(
    "strategy", ["pt4al", "random", "confidence", "margin", "entropy", "badge", "bandit", "coreset", "typiclust"]
)
def test_every_strategy_gives_queries_until_all_is_labelled(tmp_path, strategy):
    rig = Rig(tmp_path, n=30, strategy=strategy, diversity="coverage", train_growth=0)
    rig.settle()
    first = list(rig.platform.queue)
    assert len(set(first)) == 6 + 5
    result = []
    while queue := rig.platform.queue[:4]:
        result += queue
        for task in queue:
            rig.platform.label(task)
        rig.settle()
    assert sorted(result) == list(range(1, 31))
    rounds = [int(window.version.split("-")[1][1:]) for window in rig.platform.published]
    assert rounds == sorted(rounds)
    assert rounds[-1] == 4
    rig.close()


def test_a_strategy_of_another_package_chooses(tmp_path, monkeypatch):
    source = (
        "def query(candidates, n):\n    ranks = candidates.rank.argsort()\n    return ranks[candidates.open[ranks]][:n]"
    )
    install(tmp_path / "package", monkeypatch, "hardest_10", source)
    rig = Rig(tmp_path, n=30, strategy="hardest_10", train_growth=0)
    rig.settle()
    for labels in range(3):
        pool = rig.pool()
        hardest = [task for task in pool.task[np.argsort(pool.rank)].tolist() if task in set(pool.task[~pool.labelled])]
        assert rig.platform.queue == hardest[: 6 + 5 - labels]
        rig.platform.label(rig.platform.queue[0])
        rig.sync()
    rig.close()


def test_a_query_that_is_chosen_as_a_whole_stays_while_it_is_labelled(tmp_path):
    rig = Rig(tmp_path, strategy="typiclust", train_growth=0)
    rig.settle()
    before = list(rig.platform.queue)
    rig.platform.label(before[0])
    rig.sync()
    assert rig.platform.queue[:5] == before[1:6]
    rig.close()


def test_a_large_query_is_chosen_as_a_whole_and_published_in_parts(tmp_path, monkeypatch):
    rig = Rig(tmp_path / "whole", strategy="typiclust", train_growth=0)
    rig.settle()
    whole = rig.platform.queue[:6]
    rig.close()
    monkeypatch.setattr(queue, "MOST_PUBLISHED", 5)
    rig = Rig(tmp_path / "parts", strategy="typiclust", train_growth=0)
    rig.settle()
    assert rig.platform.queue == whole[:5]
    for task in whole:
        assert rig.platform.queue[0] == task
        rig.platform.label(task)
        rig.sync()
    rig.close()


def test_a_query_chosen_without_all_embeddings_is_chosen_again(tmp_path):
    fresh = Rig(tmp_path / "fresh", strategy="typiclust", train_growth=0)
    fresh.settle()
    fresh.close()
    rig = Rig(tmp_path / "switched", train_growth=0)
    rig.settle()  # with pt4al, which knows two of the four batches
    rig.close()
    switched = Rig(tmp_path / "switched", strategy="typiclust", train_growth=0)
    switched.settle()
    assert switched.platform.queue[:6] == fresh.platform.queue[:6]
    switched.close()


def test_annotating_goes_through_the_rounds_and_ends_in_one_pool(rig):
    rig.settle()
    rounds = []
    for _ in range(60):
        task = rig.platform.queue[0]
        assert rig.pool().batch[rig.pool().task == task][0] == min(rig.project.round, 3) or rig.project.round >= 4
        rig.platform.label(task)
        rig.sync()
        rounds.append(rig.project.round)
        assert rig.project.model_version == rig.platform.model_version
    assert rounds == sorted(rounds)
    assert rounds[5] == 1 and rounds[23] == 4 and rounds[-1] > 4
    rig.settle()
    assert rig.project.main_labels == 60
    assert rig.platform.published[-1].picks[0].predictions[QUESTION].value in "0123456789"


def test_labels_skips_and_deletions_end_in_the_right_queue(settled):
    first, second, third = settled.platform.queue[:3]
    settled.platform.skip(first)
    settled.platform.delete(second)
    settled.sync()
    assert not {first, second} & set(settled.platform.queue)
    assert second not in settled.pool().task
    settled.platform.label(third)
    settled.sync()
    assert third not in settled.platform.queue
    settled.platform.unlabel(third)
    settled.sync()
    assert third in settled.platform.queue


def test_nothing_new_means_nothing_published(settled):
    settled.settle()
    published = len(settled.platform.published)
    for _ in range(3):
        settled.sync()
    assert len(settled.platform.published) == published


def test_a_project_that_was_labelled_before_is_ready_with_nothing_to_publish(tmp_path, monkeypatch):
    rig = Rig(tmp_path, diversity="coverage")  # the features of a first queue are asked for
    for task in rig.platform.states:
        rig.platform.label(task) if task % 2 else rig.platform.skip(task)
    rig.settle()
    assert rig.platform.published == []
    assert rig.project.stage == "ready"
    rig.settle()
    without_pool(monkeypatch, rig)
    rig.loop.update_queue()
    assert rig.loop.work(0.1) is False
    rig.close()


def test_the_pool_is_not_read_at_every_turn_while_first_features_are_missing(tmp_path, monkeypatch):
    rig = Rig(tmp_path, strategy="typiclust")
    while not rig.project.pretext_generation:
        rig.sync()
        rig.loop.work(0.5)
    rig.loop.update_queue()
    with monkeypatch.context() as patch:
        without_pool(patch, rig)
        rig.loop.update_queue()
    assert rig.platform.published == []
    rig.settle()
    assert len(rig.platform.published) == 1
    rig.close()


def test_an_idle_turn_is_cheap(settled, monkeypatch):
    settled.settle()
    settled.loop.work(0.1)
    without_pool(monkeypatch, settled)
    settled.sync()
    assert settled.loop.work(0.1) is False


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
        assert [view.question.name for view in rig.predictions().per_question] == ["empty", "present", "mask"]
        assert rig.loop.work(0.1) is False


# With a pretrained encoder


@contextmanager
def pretrained(tmp_path: Path, **settings: Any) -> Iterator[Rig]:
    """A loop with the encoder `colour-2`."""
    with colour_encoders(), closing(Rig(tmp_path, encoder="colour-2", **{"n": 60} | settings)) as rig:
        yield rig


def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each rotation head is fitted for, from now on; it takes half a second."""
    begun: list[int] = []
    train = learning.train_rotation_head

    def counted(encoder: Any, images: Any, rows: Any, **more: Any) -> Any:
        begun.append(len(rows))
        fitting = train(encoder, images, rows, **more)
        while True:
            try:
                progress = next(fitting)
            except StopIteration as end:
                return end.value
            time.sleep(0.02)
            yield progress

    monkeypatch.setattr(rotation_head, "_AT_ONCE", 2)
    monkeypatch.setattr(learning, "train_rotation_head", counted)
    return begun


def test_the_first_order_does_not_wait_for_the_rotation_task(tmp_path: Path) -> None:
    with pretrained(tmp_path, strategy="random") as rig:
        rig.turn_until(lambda: rig.loop.busy_with == "pretext" and "rotation task" in rig.project.stage_detail)
        assert len(rig.platform.queue) == 6 + 5
        assert (rig.project.stage, rig.project.pretext_generation, rig.project.ranked_pool) == ("ready", 0, 60)
        rig.platform.label(rig.platform.queue[0])
        rig.sync()
        assert rig.platform.published[-1].version.split("-")[2] == "n1"
        assert rig.project.pretext_generation == 0
        rig.settle()
        assert (rig.project.pretext_generation, rig.project.stage, rig.project.stage_detail) == (1, "ready", "")
        assert len(rig.platform.published) == 2  # a strategy without batches does not care for them
        assert sorted(set(rig.pool().batch.tolist())) == [0, 1, 2, 3]


def test_batches_take_their_part_when_they_are_there(tmp_path: Path) -> None:
    with pretrained(tmp_path, strategy="pt4al", diversity="coverage") as rig:
        rig.turn_until(lambda: rig.loop.busy_with == "pretext")
        first = rig.platform.queue[:3]
        for task in first:
            rig.platform.label(task)
        rig.settle()
        pool = rig.pool()
        batch = dict(zip(pool.task.tolist(), pool.batch.tolist(), strict=True))
        now = rig.project.round
        left = 6 - sum(batch[task] == now for task in first)
        assert {batch[task] for task in rig.platform.queue[:left]} == {now}
        assert rig.project.cycles == 4


@pytest.mark.parametrize("strategy", ["pt4al", "margin", "badge", "bandit", "typiclust"])
def test_every_strategy_queries_with_a_pretrained_encoder(tmp_path: Path, strategy: str) -> None:
    with pretrained(tmp_path, n=30, strategy=strategy, diversity="coverage") as rig:
        rig.turn_until(lambda: rig.platform.published)
        result = []
        while queue := rig.platform.queue[:4]:
            result += queue
            for task in queue:
                rig.platform.label(task)
            rig.settle()
        assert sorted(result) == list(range(1, 31))
        assert (rig.project.main_generation, rig.project.stage) == (0, "ready")


def test_a_strategy_of_another_package_queries_before_there_are_losses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = (
        "def query(candidates, n):\n    ranks = candidates.rank.argsort()\n    return ranks[candidates.open[ranks]][:n]"
    )
    install(tmp_path / "package", monkeypatch, "hardest_11", source)
    with pretrained(tmp_path / "data", n=30, strategy="hardest_11") as rig:
        rig.turn_until(lambda: rig.platform.published)
        assert rig.project.pretext_generation == 0
        rig.settle()
        pool = rig.pool()
        assert rig.platform.queue == pool.task[np.argsort(pool.rank)][: 6 + 5].tolist()


def test_nothing_is_trained_on_labels_with_a_pretrained_encoder(tmp_path: Path) -> None:
    with pretrained(tmp_path) as rig:
        label_half(rig)
        rig.store.wake([rig.id], train=True)
        rig.settle()
        assert (rig.project.main_generation, rig.project.pretext_generation) == (0, 1)
        assert rig.platform.published[-1].picks[0].predictions[QUESTION].value in "0123456789"
        assert rig.loop.work(0.1) is False


def test_new_images_do_not_wait_for_the_rotation_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = trainings(monkeypatch)
    with pretrained(tmp_path, strategy="random") as rig:
        rig.turn_until(lambda: rig.loop.busy_with == "pretext" and begun)
        rig.platform.add(range(101, 111))
        rig.turn_until(lambda: rig.project.ranked_pool == 70)
        assert rig.project.pretext_generation == 0
        rig.settle()
        assert begun == [60]  # it went on where it was
        assert rig.project.pretext_generation == 1 and (rig.pool().batch >= 0).all()


def test_the_rotation_task_starts_again_if_one_of_its_images_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = trainings(monkeypatch)
    with pretrained(tmp_path) as rig:
        rig.turn_until(lambda: rig.loop.busy_with == "pretext" and begun)
        rig.platform.show(1, "digit:99")
        rig.settle()
        assert begun == [60, 60]
        assert rig.project.pretext_generation == 1


def test_a_kill_in_the_rotation_task_does_no_harm(tmp_path: Path) -> None:
    with pretrained(tmp_path) as rig:
        rig.turn_until(lambda: rig.loop.busy_with == "pretext")
        rig.loop.close()
        rig.restart()
        rig.sync()
        assert len(rig.platform.queue) == 6 + 5
        rig.settle()
        assert rig.project.pretext_generation == 1


def test_an_idle_turn_is_cheap_with_a_pretrained_encoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pretrained(tmp_path) as rig:
        rig.settle()
        rig.settle()
        without_pool(monkeypatch, rig)
        rig.sync()
        assert rig.loop.work(0.1) is False


def test_several_questions_are_learned_on_a_pretrained_encoder(tmp_path: Path) -> None:
    with colour_encoders(), opened(tmp_path, EMPTY, PRESENT, MASK, n=14, encoder="colour-2") as rig:
        rig.settle()
        result: list[int] = []
        while queue := rig.platform.queue[:4]:
            result += queue
            for place, task in enumerate(queue):
                rig.platform.answer(task, only=[["mask"], ["empty", "mask"], ["present"], ["present", "mask"]][place])
            rig.settle()
            if rig.platform.queue:
                assert {"empty", "present", "mask"} >= set(rig.picks[rig.platform.queue[0]].predictions) > set()
        assert sorted(result) == list(range(1, 15))
        assert [view.question.name for view in rig.predictions().per_question] == ["empty", "present", "mask"]
        files = rig.workspace.networks.embeddings(rig.project)
        assert files.patches is not None and files.patches.has(rig.store.pool(rig.project).row).all()
        assert (rig.project.main_generation, rig.project.dense) == (0, True)


def test_the_built_in_encoder_learns_several_questions_and_its_masks_are_painted(tmp_path: Path) -> None:
    config = parse_config(
        '<View><Image name="image" value="$image"/><BrushLabels name="mask" toName="image">'
        '<Label value="disc"/><Label value="square"/></BrushLabels></View>'
    )
    with opened(tmp_path, EMPTY, PRESENT, MASK, n=16, encoder=learning.DEFAULT_ENCODER, query_size=12) as rig:
        rig.settle()
        rig.platform.answer(*rig.platform.queue[:12])
        rig.settle()
        assert (rig.project.encoder, rig.project.dense) == (learning.DEFAULT_ENCODER, True)
        right, seen = [], []
        for task, pick in rig.picks.items():
            assert set(pick.predictions) == {"empty", "present", "mask"}
            results = config.result(pick.predictions, width=pick.width, height=pick.height)
            assert {result["type"] for result in results} <= {"brushlabels"}
            regions = config.answers([{"result": results}]).get("mask", [])
            painted = draw(regions, SHAPES, side=SIDE, background=True)
            right.append((painted == shape_mask(task - 1)).mean())
            seen.append(set(pick.predictions["present"].value) == set(shapes_on(task - 1)))
        assert len(right) >= 4 and np.mean(right) > 0.85 and np.mean(seen) >= 0.5


def test_other_questions_start_again_with_a_pretrained_encoder(tmp_path: Path) -> None:
    with colour_encoders(), opened(tmp_path, PRESENT, n=12, encoder="colour-2") as rig:
        rig.settle()
        rig.platform.answer(1, 2, 3)
        rig.settle()
        before = list(rig.platform.queue)
        rig.platform.questions = (MASK,)
        rig.sync()
        assert rig.platform.queue == before
        rig.settle()
        assert (rig.project.dense, rig.project.encoder, rig.project.ranked_pool) == (True, "colour-2", 12)
        rig.platform.answer(1, 2, 3)
        rig.settle()
        assert all("mask" in pick.predictions for pick in rig.picks.values())


def test_how_long_a_label_takes_to_change_the_order_is_counted(tmp_path):
    rig = Rig(tmp_path, n=30)
    rig.settle()
    assert rig.store.finding(rig.id, LATENCY) is None, "an import is no label"
    for _ in range(2):
        rig.platform.label(rig.platform.queue[0])
        rig.sync()
        rig.sync()
    found = rig.store.finding(rig.id, LATENCY)
    assert found.body["counts"][-1] == 2 and 0 < found.body["sum"] < 120
    rig.close()
