"""What is found out outlives a process, until its project is forgotten."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.filled_store import add_ranked, state

from pt4al_backend.errors import ProjectResetError
from pt4al_backend.labelling.questions import Judgement
from pt4al_backend.store.findings import QUALITY
from pt4al_backend.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def test_the_newest_of_a_kind(store: Store) -> None:
    project = add_ranked(store)
    assert store.finding(project.id, QUALITY) is None
    store.save_finding(project.id, QUALITY, {"a": 1}, revision=3, arrays={"x": np.arange(3)})
    store.save_finding(project.id, QUALITY, {"a": 2}, revision=4, arrays={"x": np.arange(2)})
    found = store.finding(project.id, QUALITY)
    assert found is not None and (found.body, found.revision, found.arrays) == ({"a": 2}, 4, {})
    with_arrays = store.finding(project.id, QUALITY, arrays=True)
    assert with_arrays is not None and with_arrays.arrays["x"].tolist() == [0, 1]


def test_guesses_of_a_window_replace_those_for_the_same_tasks(store: Store) -> None:
    project = add_ranked(store)
    store.save_guesses(project.id, {1: {"kind": "cat"}, 2: {"kind": "cat"}})
    store.save_guesses(project.id, {2: {"kind": "dog"}, 3: {"kind": "dog"}})
    assert store.guesses(project.id) == {1: {"kind": "cat"}, 2: {"kind": "dog"}, 3: {"kind": "dog"}}
    store.save_guesses(project.id, {})


def test_who_annotated_what(store: Store) -> None:
    project = add_ranked(store)
    judgement = Judgement(3, 2.5, {"kind": "cat"})
    store.apply(project.id, [state(1, "cat", version="2", judgements=(judgement,))])
    assert store.judgements(project.id) == {1: [judgement]}


def test_everything_goes_with_its_project(store: Store) -> None:
    first, second = add_ranked(store), add_ranked(store, 13)
    for project in (first, second):
        store.save_finding(project.id, QUALITY, {}, revision=0)
        store.save_guesses(project.id, {1: {"kind": "cat"}})
        store.confirm(project.id, 1, "kind", '"cat"')
        columns = {"model_version": "v", "round": 0, "labels": 10, "held_out": False, "images": 20}
        store.add_measurement(project.id, **columns, value=0.5, low=0.4, high=0.6)
    store.forget(first.id)
    for kept, project in ((0, first), (1, second)):
        assert len(store.measurements(project.id)) == kept
        assert (len(store.guesses(project.id)), len(store.confirmed(project.id))) == (kept, kept)
        assert (store.finding(project.id, QUALITY) is not None) == bool(kept)
    with pytest.raises(ProjectResetError):
        store.save_finding(first.id, QUALITY, {}, revision=0)
