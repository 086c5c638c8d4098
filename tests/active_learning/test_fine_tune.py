"""When the encoder is fine-tuned, when it serves, and when it does not any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.known_labels import QUESTION
from support.rig import Rig
from support.tiny_encoder import NAME, tiny_encoders

from pt4al_backend.active_learning import fine_tune
from pt4al_backend.active_learning.tuning_trial import Trial
from pt4al_backend.learning.fine_tuning import TuningRecipe


@pytest.fixture(autouse=True)
def _few_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fine_tune, "FEWEST", 20)
    monkeypatch.setattr(fine_tune, "FEWEST_PER_CLASS", 2)
    monkeypatch.setattr(TuningRecipe, "epochs_for", lambda recipe, images: 2)


@pytest.fixture
def better(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """What cross-validations say, in place of what is measured on networks that are too small to be useful."""
    said = [True]
    monkeypatch.setattr(Trial, "is_better", property(lambda trial: said[0]))
    monkeypatch.setattr(Trial, "is_decided", property(lambda trial: False))
    yield said


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with tiny_encoders():
        rig = new_rig(tmp_path)
        yield rig
        rig.close()


def new_rig(tmp_path: Path, **settings: Any) -> Rig:
    rig = Rig(tmp_path, n=60, encoder=NAME, strategy="margin", **settings)
    rig.workspace.learns_pretext = False
    rig.settle()
    return rig


def label(rig: Rig, *tasks: int) -> None:
    for task in tasks:
        rig.platform.label(task)
    rig.sync()


def test_a_better_encoder_serves_and_labels_count_at_once(rig: Rig, better: list[bool]) -> None:
    label(rig, *range(1, 20))
    rig.settle()
    assert (rig.project.tuned_generation, rig.project.tuned_trials, rig.project.main_generation) == (0, 0, 0)
    label(rig, 20)
    rig.settle()
    assert (rig.project.tuned_generation, rig.project.tuned_labels, rig.project.encoder) == (1, 20, NAME)
    assert 0 <= rig.project.probe_accuracy <= 1 and 0 <= rig.project.tuned_accuracy <= 1
    networks = rig.workspace.networks
    assert networks.encoder_name(rig.project) == "tuned-1"
    assert networks.embeddings(rig.project).has(rig.pool().row).all()
    assert networks.embeddings(rig.project, NAME).has(rig.pool().row).all()  # to compare with, and to go back to
    assert set(networks.temperatures(rig.project)) == {QUESTION}
    published = len(rig.platform.published)
    label(rig, rig.platform.queue[0])
    assert len(rig.platform.published) == published + 1
    assert rig.platform.published[-1].picks[0].predictions[QUESTION].value in "0123456789"
    assert (rig.project.stage, rig.project.tuned_trials) == ("ready", 1)


def test_it_is_tried_again_with_more_labels_and_given_up_if_it_is_no_better(rig: Rig, better: list[bool]) -> None:
    label(rig, *range(1, 21))
    rig.settle()
    better[0] = False
    label(rig, *range(21, 30))
    rig.settle()
    assert (rig.project.tuned_generation, rig.project.tuned_trials) == (1, 1)
    label(rig, 30)
    rig.settle()
    assert (rig.project.tuned_generation, rig.project.tuned_trials, rig.project.tuned_labels) == (0, 2, 30)
    assert rig.workspace.networks.encoder_name(rig.project) == NAME
    assert not rig.workspace.networks.path("tuned-1.safetensors").exists()
    rig.store.wake([rig.id], train=True)  # Start Training
    better[0] = True
    rig.settle()
    assert (rig.project.tuned_generation, rig.project.tuned_trials) == (3, 3)
    for task in range(1, 16):
        rig.platform.unlabel(task)
    rig.settle()  # too few labels are left
    assert (rig.project.tuned_generation, rig.project.tuned_labels, rig.project.tuned_accuracy) == (0, 0, None)


def test_what_is_measured_decides(rig: Rig) -> None:
    label(rig, *range(1, 51))
    rig.settle()
    project = rig.project
    assert project.tuned_trials == 1 and project.probe_accuracy > 0.2
    if project.tuned_generation:
        assert project.tuned_accuracy > project.probe_accuracy


def test_labels_and_images_do_not_wait_for_it(rig: Rig, better: list[bool]) -> None:
    label(rig, *range(1, 21))
    rig.turn_until(lambda: rig.loop.busy_with == "training" and "fine-tune" in rig.project.stage_detail)
    assert rig.project.stage == "ready"
    label(rig, rig.platform.queue[0])
    assert rig.platform.published[-1].version.split("-")[2] == "n21"
    rig.platform.add(range(101, 106))
    rig.turn_until(lambda: rig.project.ranked_pool == 65)
    assert rig.project.tuned_trials == 0
    rig.settle()
    assert (rig.project.tuned_generation, rig.project.tuned_labels) == (1, 20)  # of when it began
    assert rig.workspace.networks.embeddings(rig.project).has(rig.pool().row).all()
    rig.platform.add(range(106, 109))
    rig.settle()
    assert rig.project.ranked_pool == 68


def test_a_kill_costs_a_fold_at_most(rig: Rig, better: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    label(rig, *range(1, 21))
    rig.turn_until(lambda: "3 of 5" in rig.project.stage_detail)
    rig.loop.close()
    rig.restart()
    rig.workspace.learns_pretext = False
    folds: list[int] = []
    tuned = Trial.tuned

    def counted(trial: Trial, members: np.ndarray, *what: Any, **more: Any) -> Any:
        folds.append(int(members.sum()))
        return tuned(trial, members, *what, **more)

    monkeypatch.setattr(Trial, "tuned", counted)
    rig.settle()
    assert folds == [16, 16, 16, 20]  # two folds were done
    assert rig.project.tuned_generation == 1
    assert not list(rig.workspace.networks.path("").glob("*.checkpoint.safetensors"))


def test_a_trial_starts_again_if_an_image_is_replaced(rig: Rig, better: list[bool]) -> None:
    label(rig, *range(1, 21))
    rig.turn_until(lambda: "3 of 5" in rig.project.stage_detail)
    rig.platform.show(1, "digit:99")
    rig.turn_until(lambda: "1 of 5" in rig.project.stage_detail)
    rig.settle()
    assert rig.project.tuned_generation == 1


@pytest.mark.parametrize("setting", ["fine_tune", "encoder"])
def test_it_is_left_when_it_is_not_wanted(tmp_path: Path, better: list[bool], setting: str) -> None:
    with tiny_encoders():
        rig = new_rig(tmp_path, **({"fine_tune": False} if setting == "fine_tune" else {}))
        label(rig, *range(1, 31))
        rig.settle()
        assert rig.project.tuned_trials == (0 if setting == "fine_tune" else 1)
        if setting == "encoder":
            rig.encoder = None
            rig.restart()
            rig.settle()
            assert (rig.project.encoder, rig.project.tuned_generation) == ("", 0)
        rig.close()


def test_a_lost_network_is_made_again(rig: Rig, better: list[bool]) -> None:
    label(rig, *range(1, 21))
    rig.settle()
    rig.workspace.networks.path("tuned-1.safetensors").unlink()
    rig.loop.close()
    rig.restart()
    rig.workspace.learns_pretext = False
    rig.loop.sync()
    rig.step()  # before the queue is updated, which only works afterwards
    label(rig, 21)
    rig.settle()
    assert (rig.project.tuned_generation, rig.project.ranked_pool) == (2, 60)
