import logging
import math
import time

import pytest
from support.known_labels import KnownLabels

from pt4al_backend.active_learning import sync
from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes.scheduler import BACKOFF_MOST, Attempt, Worker
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store


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
        self.tokens = []
        self.worker = Worker(settings, self.store, self.platform_for)

    def platform_for(self, project, lock):
        self.tokens.append(project.access_token)
        if project.access_token == "expired":
            raise PT4ALError("The token has expired.")
        if project.access_token == "odd":
            raise OverflowError
        return self.platforms[project.id]

    def turn_until(self, condition, turns=3000):
        for _ in range(turns):
            busy = self.worker.turn()
            if condition():
                return
            if not busy:  # it waits for its images, say
                time.sleep(0.01)
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
    rig.worker._slots[one.id].sync.not_before = 0  # as if its waiting time were over
    rig.turn_until(lambda: first.published and stages(rig) == {"ready"})
    assert rig.store.projects()[0].error == ""


def test_a_project_that_stays_missing_is_forgotten(rig, monkeypatch):
    first, second = rig.store.projects()
    rig.turn_until(lambda: all(platform.published for platform in rig.platforms.values()))
    rig.platforms[first.id].gone = True
    rig.turn_until(lambda: "does not exist" in rig.store.project(first.id).error)
    assert rig.store.project(first.id).stage == "error"
    monkeypatch.setattr("pt4al_backend.processes.scheduler.GONE_FOR", 0.0)

    def forgotten():
        for slot in rig.worker._slots.values():
            slot.sync.not_before = 0
        return [project.id for project in rig.store.projects()] == [second.id]

    rig.turn_until(forgotten)
    assert not rig.store.pixels_dir(first.id).exists()


def test_a_project_that_is_reset_while_it_is_ranked_ends_without_a_traceback(rig, monkeypatch, caplog):
    first, second = rig.platforms
    save_ranking = rig.store.save_ranking

    def reset_before(project_id, *args, **columns):
        if project_id == first:
            rig.store.forget(first)
        save_ranking(project_id, *args, **columns)

    monkeypatch.setattr(rig.store, "save_ranking", reset_before)
    rig.turn_until(lambda: rig.platforms[second].published and len(rig.store.projects()) == 1)
    rig.turn_until(lambda: first not in rig.worker._slots)
    assert not [record for record in caplog.records if record.exc_info]


def test_a_reset_project_starts_again_from_nothing(rig):
    first = rig.store.projects()[0]
    rig.turn_until(lambda: rig.platforms[first.id].published)
    rig.store.forget(first.id)
    rig.worker.turn()
    again = rig.store.connect(url="http://x", number=1, created="1", access_token="", label_config="")
    rig.platforms[again.id] = KnownLabels(30)
    rig.turn_until(lambda: rig.platforms[again.id].published)


def test_a_disconnected_project_rests_and_resumes_when_it_is_connected(rig, monkeypatch):
    monkeypatch.setattr("pt4al_backend.processes.scheduler.SETTLED", math.inf)
    first, second = rig.platforms.values()
    rig.turn_until(lambda: first.published and stages(rig) == {"ready"})
    seen = len(first.published)
    first.connected = False
    first.label(first.queue[0])
    second.label(second.queue[0])
    rig.turn_until(lambda: second.published[-1].version.split("-")[2] == "n1")
    project = rig.store.projects()[0]
    assert (project.error, project.stage, len(first.published)) == ("", "ready", seen), (
        "a moment without a connection is not reported"
    )
    monkeypatch.setattr("pt4al_backend.processes.scheduler.SETTLED", 0.0)
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
    rig = Rig(tmp_path, 30)
    rig.turn_until(lambda: stages(rig) == {"ready"})
    rig.worker.close()
    (platform,) = rig.platforms.values()
    asked = []
    monkeypatch.setattr(platform, "is_connected", lambda: asked.append(1) and False)
    settings = rig.worker._settings.model_copy(update={"poll_interval": 60.0, "idle_interval": 60.0})
    rig.worker = Worker(settings, rig.store, rig.platform_for)
    for _ in range(20):
        rig.worker.turn()
    assert len(asked) == 1
    platform.label(platform.queue[0])
    monkeypatch.undo()
    rig.store.wake([1])
    rig.turn_until(lambda: platform.published[-1].version.split("-")[2] == "n1")
    rig.close()


def test_a_training_ends_when_its_project_is_disconnected(rig):
    project, platform = rig.store.projects()[0], rig.platforms[1]
    rig.turn_until(lambda: "project 1: " in rig.worker.busy_with)
    platform.connected = False
    rig.turn_until(lambda: "project 1: " not in rig.worker.busy_with)
    rig.turn_until(lambda: rig.platforms[2].published)
    assert platform.published == [] and rig.store.project(project.id).pretext_generation == 0


def test_a_project_that_was_never_connected_is_forgotten(rig, monkeypatch):
    monkeypatch.setattr("pt4al_backend.processes.scheduler.SETTLED", math.inf)
    first, second = rig.store.projects()
    rig.platforms[first.id].connected = False
    rig.turn_until(lambda: rig.platforms[second.id].published)
    assert rig.store.project(first.id) is not None, "/setup comes before the connection is saved"
    monkeypatch.setattr("pt4al_backend.processes.scheduler.SETTLED", 0.0)
    rig.turn_until(lambda: [project.id for project in rig.store.projects()] == [second.id])
    rig.platforms[second.id].connected = False
    rig.turn_until(lambda: rig.store.project(second.id).error)


def test_tasks_that_are_left_come_with_the_next_turns(rig, monkeypatch):
    monkeypatch.setattr(sync, "AT_A_TIME", 0.0)
    seldom = {"poll_interval": 60, "idle_interval": 60}
    rig.worker._settings = rig.worker._settings.model_copy(update=seldom)
    first, second = rig.store.projects()
    rig.platforms[first.id].page = 1
    others = []

    def complete():
        others.append(rig.store.totals(second.id).tasks)
        return rig.store.totals(first.id).tasks == 30

    rig.turn_until(complete, turns=40)
    assert len(others) > 20 and others[1:] == [40] * (len(others) - 1), "the other project has its turns between"


def test_an_unexpected_error_is_shown_and_the_step_is_tried_again(rig, caplog):
    first = rig.store.projects()[0]
    platform = rig.platforms[first.id]
    healthy, platform.project = platform.project, lambda: 1 / 0
    with caplog.at_level(logging.CRITICAL):
        rig.turn_until(lambda: rig.store.project(first.id).error)
    assert "ZeroDivisionError" in rig.store.project(first.id).error
    assert rig.store.project(first.id).stage == "error"
    platform.project = healthy
    rig.worker._slots[first.id].sync.not_before = 0
    rig.turn_until(lambda: platform.published)
    assert rig.store.project(first.id).error == ""


def test_a_step_may_fail_for_days():
    step = Attempt()
    for _ in range(5000):
        step.failed("down", transient=True)
    assert step.not_before - time.monotonic() == pytest.approx(BACKOFF_MOST, abs=1)


def connect(rig, token):
    return rig.store.connect(url="http://x", number=1, created="1", access_token=token, label_config="")


@pytest.mark.parametrize(("token", "says"), [("expired", "has expired"), ("odd", "OverflowError")])
def test_a_project_that_cannot_be_connected_stops_no_other(rig, token, says, caplog):
    caplog.set_level(logging.CRITICAL)
    first = connect(rig, token)
    rig.turn_until(lambda: rig.platforms[2].published)
    assert says in rig.store.project(first.id).error
    assert rig.tokens.count(token) < 5, "it is not tried in every turn"
    connect(rig, "new")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    assert rig.store.project(first.id).error == ""


def test_a_new_token_is_used_at_once(rig):
    first = connect(rig, "old")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    rig.platforms[first.id].down = True
    rig.turn_until(lambda: rig.store.project(first.id).error)
    rig.platforms[first.id] = KnownLabels(30)
    connect(rig, "new")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    rig.store.wake([first.id])
    rig.worker.turn()
    assert [token for token in rig.tokens if token] == ["old", "new"]
    assert rig.store.project(first.id).error == ""


def test_the_error_of_an_old_token_is_no_longer_shown(rig, caplog):
    caplog.set_level(logging.CRITICAL)
    first = connect(rig, "old")
    rig.turn_until(lambda: rig.store.project(first.id).stage == "ready")
    platform = rig.platforms[first.id]
    healthy = platform.project

    def refuse():
        raise PT4ALError("Label Studio does not know the token.")

    for token in ("new", "expired", "new"):  # as the last one that worked
        if token == "new":
            platform.project = refuse
            rig.store.wake([first.id])
            rig.turn_until(lambda: rig.store.project(first.id).stage == "error")
            platform.project = healthy
        connect(rig, token)
        if token == "expired":
            rig.turn_until(lambda: "has expired" in rig.store.project(first.id).error)
        else:
            rig.turn_until(lambda: rig.store.project(first.id).stage == "ready")
            assert rig.store.project(first.id).error == ""


def test_the_connections_of_a_token_that_was_replaced_are_closed(rig):
    first = connect(rig, "old")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    replaced, rig.platforms[first.id] = rig.platforms[first.id], KnownLabels(30)
    connect(rig, "new")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    assert (replaced.closed, rig.platforms[first.id].closed) == (1, 0)


@pytest.mark.parametrize("while_listing", [True, False])
def test_a_new_token_while_tasks_are_listed_or_images_are_fetched(rig, monkeypatch, while_listing):
    first = connect(rig, "old")
    old = rig.platforms[first.id]
    old.page = 3
    monkeypatch.setattr(sync, "AT_A_TIME", 0.0)
    if while_listing:
        rig.turn_until(lambda: rig.store.totals(first.id).tasks)
        assert rig.store.totals(first.id).tasks < 30
    else:
        rig.turn_until(lambda: rig.store.totals(first.id).pool)

    def closed(*_arguments):
        raise RuntimeError("the client has been closed")

    monkeypatch.setattr(old, "close", lambda: vars(old).update(tasks=closed, image=closed, project=closed))
    rig.platforms[first.id] = KnownLabels(30, page=3)
    connect(rig, "new")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    assert vars(old)["tasks"] is closed
    assert rig.store.totals(first.id).pool == 30
    assert rig.store.unreadable(first.id) == []
    assert rig.store.project(first.id).error == ""


def test_the_connections_of_disconnected_projects_are_closed(tmp_path):
    rig = Rig(tmp_path, 30, 40)
    first, second = rig.store.projects()
    rig.turn_until(lambda: all(platform.published for platform in rig.platforms.values()))
    rig.store.forget(first.id)
    rig.turn_until(lambda: rig.platforms[first.id].closed)
    assert rig.platforms[second.id].closed == 0
    rig.close()
    assert [platform.closed for platform in rig.platforms.values()] == [1, 1]


def test_projects_move_with_the_address_in_the_settings(rig):
    first, second = rig.store.projects()
    rig.store.connect(url="http://x", number=2, created="1", access_token="own", label_config="")
    rig.worker._settings = rig.worker._settings.model_copy(update={"label_studio_url": "https://x"})
    rig.platforms[second.id].down = True
    rig.turn_until(lambda: rig.platforms[first.id].published)
    rig.turn_until(lambda: rig.store.project(second.id).error)
    assert rig.store.project(first.id).label_studio_url == "https://x"
    second = rig.store.project(second.id)
    assert (second.label_studio_url, second.access_token) == ("http://x", "own"), "it may be another one"
    assert "open the project's Settings > Model page there" in second.error


def test_a_project_that_is_not_at_the_address_in_the_settings_stays(rig, monkeypatch):
    monkeypatch.setattr("pt4al_backend.processes.scheduler.GONE_FOR", 0.0)
    first, second = rig.store.projects()
    twin = rig.store.connect(url="https://y", number=2, created="1", access_token="own", label_config="")
    rig.platforms[twin.id] = KnownLabels(30)
    healthy = rig.worker._platform_for

    def platform_for(project, lock):
        if project.label_studio_url == "http://x":
            raise PT4ALError("There is no token.")
        return healthy(project, lock)

    rig.worker._platform_for = platform_for
    rig.worker._settings = rig.worker._settings.model_copy(update={"label_studio_url": "https://y"})
    rig.platforms[first.id].gone = True
    rig.turn_until(lambda: rig.platforms[twin.id].published)
    for left in (first, second):
        row = rig.store.project(left.id)
        assert (row.label_studio_url, row.error[:18]) == ("http://x", "There is no token.")
        assert "https://y" in row.error
