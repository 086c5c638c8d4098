"""The one store of a process, and the rankings read from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from support.filled_store import add_ranked, rank, settings_in

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.store import Store
from pt4al_backend.web.context import context, open_context, require_store


def test_a_ranking_is_read_again_when_it_has_changed(client: FlaskClient, store: Store) -> None:
    project = add_ranked(store)
    rankings = context().rankings
    first = rankings.newest(project.id)
    assert first is not None
    again = rankings.newest(project.id)
    assert again is not None and again[0] is first[0]
    rank(store, project, 10, shift=1.0)
    newest = rankings.newest(project.id)
    assert newest is not None and newest[0].score[0] == first[0].score[0] + 1
    store.forget(project.id)
    assert rankings.newest(project.id) is None


def test_the_newest_settings_are_used_and_the_previous_store_is_closed(start: Callable[..., FlaskClient]) -> None:
    start(cycles=3)
    before = context()
    start(cycles=4)
    assert (before.settings.cycles, context().settings.cycles) == (3, 4)
    assert context().store is not before.store
    require_store()


def test_a_store_that_cannot_be_opened_leaves_the_previous_one(client: FlaskClient, tmp_path: Path) -> None:
    before = context()
    (tmp_path / "file").touch()
    with pytest.raises(PT4ALError, match="cannot be written"):
        open_context(settings_in(tmp_path / "file"))
    assert context() is before
