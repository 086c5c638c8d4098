"""What happens to a project that is missing, not connected, or fails."""

import logging
import math
import time
from contextlib import closing

import pytest
from support.worker_rig import WorkerRig

from pt4al_backend.processes import project_slot


def test_a_project_that_stays_missing_is_forgotten(rig, monkeypatch):
    first, second = rig.store.projects()
    rig.turn_until(lambda: all(platform.published for platform in rig.platforms.values()))
    rig.platforms[first.id].gone = True
    rig.turn_until(lambda: "does not exist" in rig.store.project(first.id).error)
    assert rig.store.project(first.id).stage == "error"
    monkeypatch.setattr(project_slot, "GONE_FOR", 0.0)

    def forgotten():
        rig.sync_now(first.id)
        return [project.id for project in rig.store.projects()] == [second.id]

    rig.turn_until(forgotten)
    assert not rig.store.pixels_dir(first.id).exists()


def test_a_project_that_was_never_connected_is_forgotten(rig, monkeypatch):
    monkeypatch.setattr(project_slot, "SETTLED", math.inf)
    first, second = rig.store.projects()
    rig.platforms[first.id].connected = False
    rig.turn_until(lambda: rig.platforms[second.id].published)
    assert rig.store.project(first.id) is not None, "/setup comes before the connection is saved"
    monkeypatch.setattr(project_slot, "SETTLED", 0.0)
    rig.turn_until(lambda: [project.id for project in rig.store.projects()] == [second.id])
    rig.platforms[second.id].connected = False
    rig.turn_until(lambda: rig.store.project(second.id).error)


def test_a_disconnected_project_rests_and_resumes_when_it_is_connected(rig, monkeypatch):
    monkeypatch.setattr(project_slot, "SETTLED", math.inf)
    first, second = rig.platforms.values()
    rig.turn_until(lambda: first.published and rig.stages() == {"ready"})
    seen = len(first.published)
    first.connected = False
    first.label(first.queue[0])
    second.label(second.queue[0])
    rig.turn_until(lambda: second.published[-1].version.split("-")[2] == "n1")
    project = rig.store.projects()[0]
    assert (project.error, project.stage, len(first.published)) == ("", "ready", seen), (
        "a moment without a connection is not reported"
    )
    monkeypatch.setattr(project_slot, "SETTLED", 0.0)
    rig.store.wake([project.id], train=True)
    rig.turn_until(lambda: "Not connected in Label Studio" in rig.store.project(project.id).error)
    project = rig.store.project(project.id)
    assert (project.stage, project.main_generation, len(first.published)) == ("error", 0, seen)
    first.connected = True
    rig.turn_until(lambda: len(first.published) > seen)
    rig.turn_until(lambda: rig.store.project(project.id).stage == "ready")
    project = rig.store.project(project.id)
    assert (project.error, project.main_generation) == ("", 1)


def test_a_project_that_is_disconnected_when_the_worker_starts_rests(tmp_path, monkeypatch):
    with closing(WorkerRig(tmp_path, 30)) as rig:
        rig.turn_until(lambda: rig.stages() == {"ready"})
        (platform,) = rig.platforms.values()
        asked = []
        monkeypatch.setattr(platform, "is_connected", lambda: asked.append(1) and False)
        rig.restart(poll_interval=60.0, idle_interval=60.0)
        for _ in range(20):
            rig.worker.turn()
        assert len(asked) == 1
        platform.label(platform.queue[0])
        monkeypatch.undo()
        rig.store.wake([1])
        rig.turn_until(lambda: platform.published[-1].version.split("-")[2] == "n1")


def test_a_training_ends_when_its_project_is_disconnected(rig):
    project, platform = rig.store.projects()[0], rig.platforms[1]
    rig.turn_until(lambda: "project 1: " in rig.worker.busy_with)
    platform.connected = False
    rig.turn_until(lambda: "project 1: " not in rig.worker.busy_with)
    rig.turn_until(lambda: rig.platforms[2].published)
    assert platform.published == [] and rig.store.project(project.id).pretext_generation == 0


def test_an_unexpected_error_is_shown_and_the_step_is_tried_again(rig, caplog):
    first = rig.store.projects()[0]
    platform = rig.platforms[first.id]
    healthy, platform.project = platform.project, lambda: 1 / 0
    with caplog.at_level(logging.CRITICAL):
        rig.turn_until(lambda: rig.store.project(first.id).error)
    assert "ZeroDivisionError" in rig.store.project(first.id).error
    assert rig.store.project(first.id).stage == "error"
    platform.project = healthy
    rig.sync_now(first.id)
    rig.turn_until(lambda: platform.published)
    assert rig.store.project(first.id).error == ""


@pytest.mark.parametrize("woken", [0, 1])
def test_a_change_in_any_project_interrupts_slow_work(rig, monkeypatch, woken):
    projects = rig.store.projects()
    rig.turn_until(lambda: rig.stages() == {"ready"})
    slot = rig.slot(projects[0].id)
    monkeypatch.setattr(project_slot, "SLICE", 0.1)
    interrupted = []

    def work(seconds, *, is_interrupted):
        assert seconds == 0.4, "as long as the quick steps took"
        interrupted.append(is_interrupted())
        rig.store.wake([projects[woken].id])
        interrupted.append(is_interrupted())
        time.sleep(0.11)
        interrupted.append(is_interrupted())
        return True

    monkeypatch.setattr(slot.loop, "work", work)
    assert slot._work(0.4)
    assert interrupted == [False, False, True], "it has a part of that time in any case"
