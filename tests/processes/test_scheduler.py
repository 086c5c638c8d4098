"""Projects take turns, whatever happens to one of them."""

import pytest
from support.known_labels import KnownLabels

from pt4al_backend.active_learning import loop, sync
from pt4al_backend.reports.stages import WORK


def test_projects_take_turns_and_one_that_is_down_stops_no_other(rig):
    first, second = rig.platforms.values()
    first.down = True
    rig.turn_until(lambda: second.published)
    one, other = rig.store.projects()
    assert "down" in one.error and one.stage == "waiting"
    assert other.error == ""
    first.down = False
    rig.sync_now(one.id)
    rig.turn_until(lambda: first.published and rig.stages() == {"ready"})
    assert rig.store.projects()[0].error == ""


def test_tasks_that_are_left_come_with_the_next_turns(rig, monkeypatch):
    monkeypatch.setattr(sync, "AT_A_TIME", 0.0)
    rig.restart(poll_interval=60, idle_interval=60)
    first, second = rig.store.projects()
    rig.platforms[first.id].page = 1
    others = []

    def complete():
        others.append(rig.store.totals(second.id).tasks)
        return rig.store.totals(first.id).tasks == 30

    rig.turn_until(complete, turns=40)
    assert len(others) > 20 and others[1:] == [40] * (len(others) - 1), "the other project has its turns between"


def test_a_project_that_is_reset_while_it_is_ranked_ends_without_a_traceback(rig, monkeypatch, caplog):
    first, second = rig.platforms
    save_ranking = rig.store.save_ranking

    def reset_before(project_id, *args, **columns):
        if project_id == first:
            rig.store.forget(first)
        save_ranking(project_id, *args, **columns)

    monkeypatch.setattr(rig.store, "save_ranking", reset_before)
    rig.turn_until(lambda: rig.platforms[second].published and len(rig.store.projects()) == 1)
    rig.turn_until(lambda: rig.slot(first) is None)
    assert not [record for record in caplog.records if record.exc_info]


def test_a_reset_project_starts_again_from_nothing(rig):
    first = rig.store.projects()[0]
    rig.turn_until(lambda: rig.platforms[first.id].published)
    rig.store.forget(first.id)
    rig.worker.turn()
    again = rig.connect(1)
    rig.platforms[again.id] = KnownLabels(30)
    rig.turn_until(lambda: rig.platforms[again.id].published)


def test_the_connections_of_projects_that_were_reset_are_closed(rig):
    first, second = rig.store.projects()
    rig.turn_until(lambda: all(platform.published for platform in rig.platforms.values()))
    rig.store.forget(first.id)
    rig.turn_until(lambda: rig.platforms[first.id].closed)
    assert rig.platforms[second.id].closed == 0
    rig.restart()
    assert [platform.closed for platform in rig.platforms.values()] == [1, 1]


@pytest.mark.parametrize(("stage", "method"), [("images", "reserve_rows"), ("pretext", "pool")])
def test_what_a_step_writes_after_its_project_was_reset_is_deleted(rig, monkeypatch, caplog, stage, method):
    """It is reset between the step's last look at the store and its writing of pixels, or of a network's files."""
    first, second = rig.platforms
    look = getattr(rig.store, method)

    def reset_after(*args):
        seen = look(*args)
        if f"project 1: {WORK[stage]}" in rig.worker.busy_with:
            monkeypatch.undo()
            rig.store.forget(first)
        return seen

    monkeypatch.setattr(rig.store, method, reset_after)
    rig.turn_until(lambda: rig.platforms[first].closed)
    directories = rig.store.pixels_dir(first), rig.store.models_dir(first)
    rig.turn_until(lambda: not any(directory.exists() for directory in directories), turns=200)
    assert rig.store.project(second)
    assert not caplog.records, "a reset is no error"


def test_the_worker_is_awaited_until_every_project_has_an_order_and_while_labels_arrive(rig, monkeypatch):
    monkeypatch.setattr(loop, "LABELLING", 0.0)
    rig.turn_until(lambda: rig.worker.is_awaited)
    rig.turn_until(lambda: all(platform.published for platform in rig.platforms.values()))
    assert not rig.worker.is_awaited
    monkeypatch.setattr(loop, "LABELLING", 60.0)
    assert rig.worker.is_awaited
