"""What reports answer is what their types say: each field, and no other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from support.filled_pages import fill_pages
from support.filled_store import add_ranked, settings_in

from pt4al_backend.reports.answers import LabelsToCheck, MapOfPool, Overview, Queue, Status
from pt4al_backend.reports.map_report import map_report
from pt4al_backend.reports.project_report import labels_report, overview, queue_report
from pt4al_backend.reports.status import health, status
from pt4al_backend.store.store import Store


@pytest.mark.parametrize("fill", [add_ranked, fill_pages])
def test_reports_are_of_their_types(tmp_path: Path, fill: Any) -> None:
    store, settings = Store(tmp_path), settings_in(tmp_path)
    project = fill(store)
    store.add_latency(project.id, 0.7)
    store.beat(device="cpu", busy_with="project 12: updating the order")
    found = {
        Status: status(store, settings),
        Overview: overview(store, settings, project, health(store)),
        Queue: queue_report(store, project),
        LabelsToCheck: labels_report(store, project, truth="cat", guess="dog"),
        MapOfPool: map_report(store, project, link="a/{task}", thumbnail="b/{task}"),
    }
    for kind, report in found.items():
        if report is not None:
            TypeAdapter(kind).validate_json(json.dumps(report), strict=True, extra="forbid")
    store.close()
