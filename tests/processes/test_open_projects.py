"""Projects are opened when they are set up, and again with every other token."""

import logging

import pytest
from support.known_labels import KnownLabels

from pt4al_backend.active_learning import sync
from pt4al_backend.errors import PT4ALError


@pytest.mark.parametrize(("token", "says"), [("expired", "has expired"), ("odd", "OverflowError")])
def test_a_project_that_cannot_be_connected_stops_no_other(rig, token, says, caplog):
    caplog.set_level(logging.CRITICAL)
    first = rig.connect(1, token)
    rig.turn_until(lambda: rig.platforms[2].published)
    assert says in rig.store.project(first.id).error
    assert rig.tokens.count(token) < 5, "it is not tried in every turn"
    rig.connect(1, "new")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    assert rig.store.project(first.id).error == ""


def test_a_new_token_is_used_at_once(rig):
    first = rig.connect(1, "old")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    rig.platforms[first.id].down = True
    rig.turn_until(lambda: rig.store.project(first.id).error)
    rig.platforms[first.id] = KnownLabels(30)
    rig.connect(1, "new")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    rig.store.wake([first.id])
    rig.worker.turn()
    assert [token for token in rig.tokens if token] == ["old", "new"]
    assert rig.store.project(first.id).error == ""


def test_the_error_of_an_old_token_is_no_longer_shown(rig, caplog):
    caplog.set_level(logging.CRITICAL)
    first = rig.connect(1, "old")
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
        rig.connect(1, token)
        if token == "expired":
            rig.turn_until(lambda: "has expired" in rig.store.project(first.id).error)
        else:
            rig.turn_until(lambda: rig.store.project(first.id).stage == "ready")
            assert rig.store.project(first.id).error == ""


def test_the_connections_of_a_token_that_was_replaced_are_closed(rig):
    first = rig.connect(1, "old")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    replaced, rig.platforms[first.id] = rig.platforms[first.id], KnownLabels(30)
    rig.connect(1, "new")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    assert (replaced.closed, rig.platforms[first.id].closed) == (1, 0)


@pytest.mark.parametrize("while_listing", [True, False])
def test_a_new_token_while_tasks_are_listed_or_images_are_fetched(rig, monkeypatch, while_listing):
    first = rig.connect(1, "old")
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
    rig.connect(1, "new")
    rig.turn_until(lambda: rig.platforms[first.id].published)
    assert vars(old)["tasks"] is closed
    assert rig.store.totals(first.id).pool == 30
    assert rig.store.unreadable(first.id) == []
    assert rig.store.project(first.id).error == ""


def test_settings_that_people_chose_for_a_project_take_effect_when_it_is_woken(rig):
    first, second = rig.store.projects()
    rig.turn_until(lambda: all(platform.published for platform in rig.platforms.values()))
    before = rig.slot(first.id)
    rig.store.update(first.id, own_settings={"query_size": 5})
    rig.store.wake([first.id])
    rig.turn_until(lambda: rig.slot(first.id) is not before)
    rig.turn_until(lambda: len(rig.platforms[first.id].published) > 1 or rig.store.project(first.id).stage == "ready")
    assert rig.slot(first.id).loop.workspace.settings.query_size == 5
    assert rig.slot(second.id).loop.workspace.settings.query_size == rig.settings.query_size


def test_a_setting_that_cannot_be_used_any_more_stops_only_its_project(rig):
    first, second = rig.store.projects()
    rig.store.update(first.id, own_settings={"strategy": "of a package that is gone"})
    rig.turn_until(lambda: rig.platforms[second.id].published)
    assert "strategy: it has to be one of" in rig.store.project(first.id).error


def test_a_paused_project_is_left_alone_until_it_goes_on(rig):
    first, second = rig.store.projects()
    rig.turn_until(lambda: all(platform.published for platform in rig.platforms.values()))
    rig.turn_until(lambda: rig.stages() == {"ready"})
    rig.store.update(first.id, paused=True)
    rig.store.wake([first.id, second.id])
    published = len(rig.platforms[first.id].published)
    for project in (first, second):
        rig.platforms[project.id].label(rig.platforms[project.id].queue[0])
    rig.turn_until(lambda: rig.platforms[second.id].published[-1].version.split("-")[2] == "n1")
    assert len(rig.platforms[first.id].published) == published
    rig.restart()
    rig.turn_until(lambda: rig.slot(first.id))
    assert len(rig.platforms[first.id].published) == published
    rig.store.update(first.id, paused=False)
    rig.store.wake([first.id])
    rig.turn_until(lambda: rig.platforms[first.id].published[-1].version.split("-")[2] == "n1")
