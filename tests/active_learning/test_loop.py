"""The loop against a platform that answers by itself; real networks, real images, a real store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.known_labels import QUESTION
from support.outsiders import install
from support.question_rig import EMPTY, MASK, PRESENT, opened, outputs
from support.rig import Rig, without_pool

from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.segmentation import SEGMENTATION
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.sampling import queue


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
