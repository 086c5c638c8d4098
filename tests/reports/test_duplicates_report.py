"""The groups of near-duplicates as pages show them."""

from __future__ import annotations

from pathlib import Path

from support.filled_pages import fill_pages
from support.filled_store import add_ranked, settings_in, state

from pt4al_backend.reports.duplicates_report import duplicates_report
from pt4al_backend.store.store import Store


def test_before_they_were_sought(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert duplicates_report(store, settings_in(tmp_path), add_ranked(store)) is None


def test_the_largest_groups_first_and_how_many_wait(tmp_path: Path) -> None:
    store = Store(tmp_path)
    project = fill_pages(store)
    report = duplicates_report(store, settings_in(tmp_path), project)
    assert report == {
        "groups": 2,
        "images": 5,
        "collapsed": True,
        "waiting": 3,  # 2 is labelled, so that 12 and 13 wait; and one of 20 and 21
        "largest": [
            {"size": 3, "tasks": [2, 12, 13], "labelled": 1},
            {"size": 2, "tasks": [20, 21], "labelled": 0},
        ],
    }
    store.apply(project.id, [state(21, "cat", version="2"), state(20, "cat", version="2")])
    without = duplicates_report(store, settings_in(tmp_path, collapse_duplicates=False), project)
    assert without is not None and (without["collapsed"], without["waiting"]) == (False, 0)
