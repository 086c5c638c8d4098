"""Images are fetched and decoded: from a platform that fails, too, and again where other sizes are needed."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.question_rig import EMPTY, MASK, PRESENT, opened
from support.rig import Rig

from pt4al_backend.active_learning import fetch_images, read_images
from pt4al_backend.errors import LabelStudioUnavailableError


def broken(platform, *tasks):
    """The platform now fails at these images, all by default. The way it was before."""
    healthy = platform.image

    def image(task, value):
        if not tasks or task in tasks:
            raise LabelStudioUnavailableError("502 Bad Gateway")
        return healthy(task, value)

    platform.image = image
    return healthy


def work_on(rig):
    """Until there is nothing to do, or an error."""
    rig.sync()
    while rig.loop.work(0.5):
        pass


def _kill(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


def test_an_image_whose_reading_raises_anything_costs_itself_alone(tmp_path):
    rig = Rig(tmp_path, n=20)
    healthy = rig.platform.image

    def image(task, value):
        if task in (3, 7):
            raise RecursionError if task == 3 else ZeroDivisionError("of a decoder")
        return healthy(task, value)

    rig.platform.image = image
    rig.settle()
    assert (len(rig.pool()), rig.project.error) == (18, "")
    told = rig.store.unreadable(rig.id)
    assert told == [(3, "It cannot be read (RecursionError)."), (7, "It cannot be read (ZeroDivisionError).")]
    rig.close()


def test_an_image_that_the_platform_keeps_failing_at_is_excluded(rig, monkeypatch):
    monkeypatch.setattr(read_images, "PATIENCE", 0.5)
    healthy = broken(rig.platform, 7)
    began = time.monotonic()
    with pytest.raises(LabelStudioUnavailableError, match="502"):
        work_on(rig)
    totals = rig.store.totals(rig.id)
    assert (totals.pool, totals.waiting, totals.unreadable) == (119, 1, 0)
    while rig.store.totals(rig.id).waiting:
        with contextlib.suppress(LabelStudioUnavailableError):
            work_on(rig)
    assert time.monotonic() - began > 0.5
    assert rig.store.unreadable(rig.id) == [(7, "502 Bad Gateway")]
    rig.settle()
    assert len(rig.pool()) == 119
    rig.store.wake([rig.id], train=True)  # Start Training tries it again, as long
    with pytest.raises(LabelStudioUnavailableError, match="502"):
        work_on(rig)
    assert rig.store.totals(rig.id).waiting == 1
    rig.platform.image = healthy
    rig.settle()
    assert len(rig.pool()) == 120


def test_a_project_starts_although_the_platform_fails_at_its_first_images(tmp_path, monkeypatch):
    monkeypatch.setattr(read_images, "PATIENCE", 0.5)
    rig = Rig(tmp_path, n=fetch_images.SAMPLE + 90, image_size=0)
    failing = range(1, fetch_images.SAMPLE + 71)
    broken(rig.platform, *failing)
    with pytest.raises(LabelStudioUnavailableError, match="502"):
        work_on(rig)
    assert rig.project.image_size == 0
    time.sleep(0.5)
    with pytest.raises(LabelStudioUnavailableError, match="502"):  # some have not failed for long
        work_on(rig)
    assert rig.project.image_size == 32
    time.sleep(0.5)
    rig.settle()
    assert [task for task, _ in rig.store.unreadable(rig.id, limit=200)] == list(failing)
    assert len(rig.pool()) == 20
    rig.close()


def test_the_size_is_that_of_the_first_images_that_can_be_read(tmp_path):
    rig = Rig(tmp_path, n=2 * fetch_images.SAMPLE + 10, image_size=0)
    for task in range(1, 2 * fetch_images.SAMPLE + 1):
        rig.platform.show(task, "gone")
    rig.settle()
    assert (rig.project.image_size, len(rig.pool())) == (32, 10)
    rig.close()


@pytest.mark.parametrize("some", [0, 30])
def test_no_image_is_excluded_while_the_platform_fails_at_all(tmp_path, monkeypatch, some):
    monkeypatch.setattr(read_images, "PATIENCE", 0.0)
    rig = Rig(tmp_path, n=some, image_size=0)
    if some:
        rig.settle()
        rig.platform.add(range(some + 1, 101))
    else:
        rig.platform.add(range(1, 101))
    healthy = broken(rig.platform)
    for _ in range(5):
        with pytest.raises(LabelStudioUnavailableError, match="502"):
            work_on(rig)
    assert rig.project.image_size == (32 if some else 0)
    rig.platform.image = healthy
    rig.settle()
    assert (len(rig.pool()), rig.project.image_size) == (100, 32)
    rig.close()


def test_no_image_is_excluded_while_the_platform_is_down(rig):
    def image(task, value):
        raise LabelStudioUnavailableError("The platform is down; it is tried again.")

    rig.sync()
    healthy, rig.platform.image, rig.platform.down = rig.platform.image, image, True
    for _ in range(10):
        with pytest.raises(LabelStudioUnavailableError):
            while rig.loop.work(0.5):
                pass
    rig.platform.image, rig.platform.down = healthy, False
    rig.settle()
    assert len(rig.pool()) == 120


def test_late_images_join_and_a_broken_one_is_excluded_and_tried_again(settled):
    new = range(500, 510)
    settled.platform.add(new)
    settled.platform.show(505, "nowhere")
    settled.settle()
    pool = settled.pool()
    assert set(new) - set(pool.task.tolist()) == {505}
    assert (pool.batch[np.isin(pool.task, list(new))] >= 0).all()
    assert settled.store.unreadable(settled.id) == [(505, "nowhere: 404 Not Found")]
    assert settled.project.pretext_generation == 1
    settled.platform.show(505, "digit:504")
    settled.settle()
    assert 505 in settled.pool().task
    assert settled.store.unreadable(settled.id) == []


def test_a_config_with_another_image_field_fetches_the_images_again(settled):
    task = next(iter(settled.pool().task.tolist()))
    settled.platform.states[task] = replace(settled.platform.states[task], image="digit:700")
    settled.platform.classes = (*settled.platform.classes, "another")
    settled.sync()
    assert (task, "digit:700") in settled.store.waiting_images(settled.id)
    settled.settle()


def test_everything_starts_again_for_a_segmentation_and_back(tmp_path: Path) -> None:
    with opened(tmp_path, PRESENT, n=20, image_size=0) as rig:
        rig.settle()
        assert (rig.project.image_size, rig.project.dense) == (64, False)
        rig.platform.answer(*range(1, 8))
        rig.train()
        assert rig.project.main_generation == 1
        before = list(rig.platform.queue)

        rig.platform.questions = (MASK,)
        rig.sync()
        assert rig.platform.queue == before  # stays until there is another
        rig.settle()
        project = rig.project
        assert (project.dense, project.main_generation, project.pretext_generation) == (True, 0, 1)
        assert rig.store.totals(rig.id).labelled == 0
        assert rig.spec()["dense"]
        assert rig.picks and all(pick.predictions == {} for pick in rig.picks.values())
        rig.platform.answer(*range(1, 8))
        rig.train()
        assert rig.project.main_generation == 1
        assert all("mask" in pick.predictions for pick in rig.picks.values())

        rig.platform.questions = (PRESENT,)
        rig.platform.answer(1, 2)
        rig.settle()
        assert (rig.project.dense, rig.spec()["dense"]) == (False, False)
        assert rig.store.totals(rig.id).labelled == 2
        assert all(list(pick.predictions) == ["present"] for pick in rig.picks.values())
        assert not list(rig.store.pixels_dir(rig.id).glob("masks-*"))
        assert not list(rig.store.models_dir(rig.id).glob("patches-*"))


@pytest.mark.parametrize("labelled", [0, 2, 6])
def test_a_project_at_rest_starts_again(tmp_path: Path, labelled: int) -> None:
    """Also where no answer changes, and where the answers to the new question have been there all the time."""
    with opened(tmp_path, EMPTY, n=12, train_growth=0) as rig:
        rig.settle()
        rig.platform.answer(*range(1, labelled + 1), only=["empty", "mask"])
        rig.settle()
        rig.platform.questions = (EMPTY, MASK)
        rig.settle()
        assert rig.project.dense and rig.spec()["dense"]
        for pick in rig.picks.values():
            assert list(pick.predictions) == (["empty", "mask"] if labelled else [])


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
        assert rig.project.dense and all("mask" in pick.predictions for pick in rig.picks.values())
