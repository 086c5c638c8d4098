"""Images that measure the model: when they are drawn, how they are served, and that nothing is learned from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.rig import Rig
from support.tiny_encoder import NAME, tiny_encoders

from pt4al_backend.active_learning import hold_out
from pt4al_backend.active_learning.fit_probes import fit_probes
from pt4al_backend.active_learning.hold_out import wanted
from pt4al_backend.active_learning.workspace import questions
from pt4al_backend.sampling.queue import HELD_OUT_EVERY


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(hold_out, "SINCE", 20)
    monkeypatch.setattr(hold_out, "LEAST", 5)
    with tiny_encoders():
        rig = Rig(tmp_path, n=100, encoder=NAME, strategy="margin", fine_tune=False)
        rig.workspace.learns_pretext = False
        rig.settle()
        yield rig
        rig.close()


def label(rig: Rig, *tasks: int) -> None:
    for task in tasks:
        rig.platform.label(task)
    rig.sync()


def held_out(rig: Rig) -> list[int]:
    pool = rig.pool()
    return pool.task[pool.held_out].tolist()


def test_at_least_twenty_and_a_twentieth_of_the_labels_once_there_are_200() -> None:
    assert [wanted(labels, 0.05) for labels in (0, 199, 200, 400, 401, 2000)] == [0, 0, 20, 20, 21, 100]
    assert wanted(2000, 0) == 0


def test_open_images_are_drawn_at_random_and_served_one_in_four(rig: Rig) -> None:
    label(rig, *range(1, 20))
    assert held_out(rig) == []
    label(rig, 20)
    drawn = held_out(rig)
    assert len(drawn) == 5 and not set(drawn) & set(range(1, 21))
    for _ in range(8):
        first = rig.platform.queue[0]
        labelled = int(rig.pool().labelled.sum())
        assert (first in drawn) == (labelled % HELD_OUT_EVERY == 0)
        label(rig, first)
    assert held_out(rig) == drawn


def test_what_the_model_thinks_of_them_is_not_shown(rig: Rig) -> None:
    label(rig, *range(1, 21))
    drawn = set(held_out(rig))
    window = rig.platform.published[-1]
    assert {pick.task for pick in window.picks} >= drawn
    for pick in window.picks:
        assert bool(pick.predictions) == (pick.task not in drawn)
    ranking = rig.store.ranking(rig.id)
    assert ranking is not None
    arrays, asked = ranking
    for task in drawn:
        assert arrays.predictions_at(int(arrays.find(np.array([task]))[0]), asked) == {}


def test_nothing_is_learned_from_them(rig: Rig) -> None:
    label(rig, *range(1, 21))
    drawn = held_out(rig)
    pool, project = rig.pool(), rig.project
    before = fit_probes(pool, questions(project), rig.workspace.probe_inputs(project))
    for task in drawn:
        rig.platform.label(task, "0")  # wrong labels would change the probe
    rig.sync()
    after = fit_probes(rig.pool(), questions(project), rig.workspace.probe_inputs(project))
    assert all((before[name].weight == after[name].weight).all() for name in before)


def test_a_skipped_one_is_replaced_and_more_are_drawn_as_labels_grow(rig: Rig) -> None:
    label(rig, *range(1, 21))
    drawn = held_out(rig)
    rig.platform.skip(drawn[0])
    rig.sync()
    assert len(held_out(rig)) == 6
    rig.restart()
    rig.sync()
    assert len(held_out(rig)) == 6


def test_without_them_they_are_ordinary_images_again(rig: Rig) -> None:
    label(rig, *range(1, 21))
    assert held_out(rig)
    rig.settings = rig.settings.model_copy(update={"validation": 0.0})
    rig.restart()
    rig.settle()
    assert held_out(rig) == []
