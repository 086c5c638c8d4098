"""Image values that change without a trace, against a platform that can do that."""

import logging

import pytest
from support.known_labels import KnownLabels

from pt4al_backend.active_learning import image_addresses
from pt4al_backend.active_learning.sync import Sync
from pt4al_backend.active_learning.workspace import Workspace
from pt4al_backend.errors import LabelStudioUnavailableError
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

TASKS = 40


class Rig:
    """A sync over a project whose images were read, and a clock that tests set."""

    def __init__(self, directory, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(image_addresses.time, "monotonic", lambda: self.now)
        self.platform, self.store = KnownLabels(TASKS, page=10), Store(directory)
        self.id = self.store.connect(url="http://x", number=1, created="1", access_token="", label_config="").id
        self.sync = Sync(Workspace(self.id, self.store, self.platform, Settings(), "cpu"))
        while not self.sync.complete:
            self.sync.sync()
        self.read()

    def read(self, *, failed=()):
        waiting = dict(self.store.waiting_images(self.id))
        ready = {task: (value, 32, 32) for task, value in waiting.items() if task not in failed}
        self.store.images_done(self.id, ready=ready, failed={task: (waiting[task], "404") for task in failed})

    def exclude(self, *tasks):
        for task in tasks:
            self.platform.show(task, f"digit:{task}")
        self.sync.sync()
        self.read(failed=tasks)

    def waiting(self):
        return dict(self.store.waiting_images(self.id))

    def looks_for(self, seconds, *, every=8.0):
        """Look as an idle project is looked at. Whether any look found a change."""
        changed, until = False, self.now + seconds
        while self.now < until:
            changed |= self.sync.sync().changed
            self.now += every
        return changed


@pytest.fixture
def rig(tmp_path, monkeypatch):
    rig = Rig(tmp_path, monkeypatch)
    yield rig
    rig.store.close()


def test_new_addresses_of_excluded_images_are_noticed_within_a_minute(rig):
    rig.exclude(3, 38)
    assert rig.store.unreadable_tasks(rig.id, after=-1, limit=10) == [3, 38]
    rig.platform.show_without_a_trace(3, "digit:2")
    assert rig.looks_for(60)
    assert rig.waiting() == {3: "digit:2"}
    assert rig.store.unreadable(rig.id) == [(38, "404")]


def test_all_addresses_are_compared_at_once_if_an_excluded_one_was_fixed(rig):
    rig.exclude(3)
    for task in (3, 20, TASKS):
        rig.platform.show_without_a_trace(task, "digit:1")
    rig.looks_for(60)
    assert set(rig.waiting()) == {3, 20, TASKS}


def test_all_addresses_are_noticed_within_ten_minutes_and_seldom_asked_for(rig):
    revision = rig.store.project(rig.id).labels_revision
    assert not rig.looks_for(1800)
    assert 0 < rig.platform.compared <= TASKS * (1 + 1800 / image_addresses.ALL_EVERY)
    assert rig.store.project(rig.id).labels_revision == revision, "what did not change is left alone"
    rig.platform.show_without_a_trace(20, "digit:1")
    assert rig.looks_for(600)
    assert rig.waiting() == {20: "digit:1"}


def test_start_training_looks_at_all_at_once(rig):
    rig.platform.show_without_a_trace(TASKS, "digit:1")
    rig.store.wake([rig.id], train=True)
    assert rig.sync.sync().changed
    assert rig.waiting() == {TASKS: "digit:1"}
    compared = rig.platform.compared
    assert not rig.sync.sync().changed
    assert rig.platform.compared == compared, "once"


def test_a_look_takes_a_part_of_many(rig, monkeypatch):
    monkeypatch.setattr(image_addresses, "A_MOMENT", 0.0)
    rig.now += image_addresses.EXCLUDED_EVERY
    for part in range(1, TASKS // 10 + 1):
        rig.sync.sync()
        assert rig.platform.compared == 10 * part


def test_many_excluded_images_take_turns(rig, monkeypatch):
    monkeypatch.setattr(image_addresses, "EXCLUDED_AT_A_TIME", 2)
    monkeypatch.setattr(image_addresses, "ALL_EVERY", 1e9)
    rig.looks_for(100)
    rig.exclude(1, 2, 3, 4, 5)
    rig.platform.show_without_a_trace(5, "digit:1")
    assert rig.looks_for(3 * (image_addresses.EXCLUDED_EVERY + 8))
    assert set(rig.waiting()) == {5}


def test_no_project_fails_at_it(rig, caplog):
    caplog.set_level(logging.CRITICAL)
    healthy = rig.platform.images_behind

    def fail(task):
        raise LabelStudioUnavailableError("504 Gateway Timeout")

    rig.platform.images_behind = fail
    rig.platform.show_without_a_trace(20, "digit:1")
    rig.looks_for(300)
    rig.platform.images_behind = healthy
    assert rig.looks_for(300)


def test_a_new_address_is_fetched_whatever_became_of_the_old_one(rig):
    rig.exclude(2)
    rig.platform.show(1, "digit:5")
    rig.sync.sync()
    assert rig.store.readdress(rig.id, {1: "a", 2: "b", 3: "c", 4: "digit:3", 999: "d"})
    assert rig.waiting() == {1: "a", 2: "b", 3: "c"}
    assert not rig.store.readdress(rig.id, {1: "a", 2: "b", 3: "c"})
    totals = rig.store.totals(rig.id)
    assert (totals.waiting, totals.pool, totals.unreadable) == (3, TASKS - 3, 0)
