"""The map as the script reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.filled_pages import fill_pages
from support.filled_store import add_ranked

from pt4al_backend.reports.map_report import SCALE, losses_report, map_report
from pt4al_backend.store.findings import MAP
from pt4al_backend.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "data")


def test_before_there_is_a_map(store: Store) -> None:
    project = add_ranked(store)
    assert map_report(store, project, link="", thumbnail="") is None
    assert losses_report(store, project) is None


def test_columns_are_of_the_images_that_have_a_place_and_still_exist(store: Store) -> None:
    project = fill_pages(store)
    store.forget_findings(project.id, [MAP])
    tasks = np.array([2, 5, 12, 99])  # 99 was deleted since
    places = np.arange(4, dtype=np.uint16)
    store.save_finding(project.id, MAP, {}, revision=0, arrays={"task": tasks, "x": places, "y": places + 1})
    columns = map_report(store, project, link="a/{task}", thumbnail="b/{task}")
    assert columns is not None
    assert (columns["task"], columns["x"], columns["y"]) == ([2, 5, 12], [0, 1, 2], [1, 2, 3])
    assert columns["class"] == [1, 0, 1]  # two labels, and a prediction
    assert columns["labelled"] == [1, 1, 0] and columns["batch"] == [0, 0, 1] and columns["batches"] == 2
    assert columns["pretext_loss"][0] == SCALE and columns["pretext_loss"][-1] == 0
    assert columns["queue"] == [2]
    assert columns["classes"] == ["cat", "dog"]


def test_the_hardest_the_middle_and_the_easiest(store: Store) -> None:
    report = losses_report(store, fill_pages(store))
    assert report is not None
    assert report["examples"]["The hardest"][:2] == [1, 2] and report["examples"]["The easiest"][:2] == [40, 39]
    assert len(report["borders"]) == 3 and len(report["losses"]) == 40
