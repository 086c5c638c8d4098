"""What the pages of a project show."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.filled_pages import fill_pages, suspect
from support.filled_store import add_ranked, reread, settings_in, state

from pt4al_backend.reports.project_report import agreement, labels_report, overview, queue_report
from pt4al_backend.reports.status import health
from pt4al_backend.store.findings import SUSPECTS
from pt4al_backend.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def test_the_overview_of_a_measured_project(store: Store, tmp_path: Path) -> None:
    project = fill_pages(store)
    shown = overview(store, settings_in(tmp_path), project, health(store))
    assert shown["quality"][0]["words"].endswith(")")
    assert [point["labels"] for point in shown["curve"]] == [10, 20, 40]
    assert shown["stage_words"] == "Ready: keep labelling" and len(shown["forecast"]) == 3
    store.update(project.id, paused=True)
    paused = overview(store, settings_in(tmp_path), reread(store, project), health(store))
    assert paused["stage_words"] == "Paused"


def test_how_often_suggestions_were_submitted(store: Store) -> None:
    project = add_ranked(store)
    assert agreement(store, project) == []
    store.save_guesses(project.id, {1: {"kind": "cat"}, 2: {"kind": "dog"}, 3: {"kind": "dog"}})
    store.apply(project.id, [state(1, "cat", version="2"), state(2, "cat", version="2")])
    assert agreement(store, project) == [{"question": "kind", "same": 1, "of": 2}]


def test_only_what_still_waits_is_in_the_queue(store: Store) -> None:
    project = fill_pages(store)
    assert queue_report(store, project)["images"][0]["task"] == 11
    store.apply(project.id, [state(11, "cat", version="2")])
    assert queue_report(store, project)["images"][0]["task"] == 12


def test_a_label_of_several_classes_is_missing_or_wrong(store: Store) -> None:
    project = add_ranked(store)
    store.update(project.id, questions=[{"name": "kind", "kind": "multiple", "classes": ["cat", "dog"]}])
    store.apply(project.id, [state(3, version="2", answers={"kind": ["cat"]}, annotations=1)])
    listed = [
        suspect() | {"answer": '["cat"]', "instead": "dog"},
        suspect() | {"answer": '["cat"]', "instead": "cat"},
    ]
    store.save_finding(project.id, SUSPECTS, {"labels": listed, "checked": 20}, revision=0)
    shown = labels_report(store, reread(store, project), truth=None, guess=None)["labels"]
    assert [each["says"] for each in shown] == ["The model: dog is missing (97 %)", "The model: cat is wrong (97 %)"]
