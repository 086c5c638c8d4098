import logging

import pytest
from known_labels import KnownLabels

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store
from pt4al_backend.worker import Worker, _only_worker


class Rig:
    def __init__(self, directory, *sizes):
        settings = Settings(
            data_dir=directory,
            cycles=3,
            query_size=3,
            slack=3,
            pretext_epochs=1,
            main_epochs=1,
            device="cpu",
            poll_interval=0.01,
            idle_interval=0.02,
        )
        self.store = Store(directory)
        self.platforms = {}
        for number, size in enumerate(sizes, 1):
            project = self.store.connect(url="http://x", number=number, created="1", access_token="", label_config="")
            self.platforms[project.id] = KnownLabels(size)
        self.worker = Worker(settings, self.store, lambda project: self.platforms[project.id])

    def turn_until(self, condition, turns=3000):
        for _ in range(turns):
            self.worker.turn()
            if condition():
                return
        raise AssertionError("it did not come about")

    def close(self):
        self.worker.close()
        self.store.close()


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path, 30, 40)
    yield rig
    rig.close()


def stages(rig):
    return {project.stage for project in rig.store.projects()}


def test_projects_take_turns_and_one_that_is_down_stops_no_other(rig):
    first, second = rig.platforms.values()
    first.down = True
    rig.turn_until(lambda: second.published)
    one, other = rig.store.projects()
    assert "down" in one.error and one.stage == "waiting"
    assert other.error == ""
    first.down = False
    rig.worker._lanes[one.id].look.not_before = 0  # as if its waiting time were over
    rig.turn_until(lambda: first.published and stages(rig) == {"ready"})
    assert rig.store.projects()[0].error == ""


def test_a_project_that_stays_away_is_forgotten(rig, monkeypatch):
    first, second = rig.store.projects()
    rig.turn_until(lambda: all(platform.published for platform in rig.platforms.values()))
    rig.platforms[first.id].gone = True
    rig.turn_until(lambda: "does not exist" in rig.store.project(first.id).error)
    assert rig.store.project(first.id).stage == "error"
    monkeypatch.setattr("pt4al_backend.worker.GONE_FOR", 0.0)

    def forgotten():
        for lane in rig.worker._lanes.values():
            lane.look.not_before = 0
        return [project.id for project in rig.store.projects()] == [second.id]

    rig.turn_until(forgotten)
    assert not rig.store.pixels_dir(first.id).exists()


def test_a_reset_project_starts_again_from_nothing(rig):
    first = rig.store.projects()[0]
    rig.turn_until(lambda: rig.platforms[first.id].published)
    rig.store.forget(first.id)
    rig.worker.turn()
    again = rig.store.connect(url="http://x", number=1, created="1", access_token="", label_config="")
    rig.platforms[again.id] = KnownLabels(30)
    rig.turn_until(lambda: rig.platforms[again.id].published)


def test_an_error_nobody_foresaw_is_shown_and_tried_again(rig, caplog):
    first = rig.store.projects()[0]
    platform = rig.platforms[first.id]
    healthy, platform.project = platform.project, lambda: 1 / 0
    with caplog.at_level(logging.CRITICAL):
        rig.turn_until(lambda: rig.store.project(first.id).error)
    assert "ZeroDivisionError" in rig.store.project(first.id).error
    assert rig.store.project(first.id).stage == "error"
    platform.project = healthy
    rig.worker._lanes[first.id].look.not_before = 0
    rig.turn_until(lambda: platform.published)
    assert rig.store.project(first.id).error == ""


def test_two_workers_on_one_store_are_refused(tmp_path):
    with _only_worker(tmp_path), pytest.raises(PT4ALError, match="Another worker"), _only_worker(tmp_path):
        pass
