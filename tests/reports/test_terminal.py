from __future__ import annotations

import time
from typing import Any

import pytest
from rich.console import Console

from pt4al_backend.reports.terminal import show

PROJECT: dict[str, Any] = {
    "label_studio_url": "http://label-studio.example",
    "project": 12,
    "title": "Cats [not markup]",
    "stage": "pretext",
    "stage_progress": 0.42,
    "eta_seconds": 95.4,
    "round": 1,
    "cycles": 10,
    "query_size": 20,
    "tasks": 1799,
    "pool": 900,
    "unreadable": 2,
    "labelled": 40,
    "queue_length": 39,
    "model_version": "",
    "updated_at": "2026-11-29T23:30:00Z",
    "error": "",
    "notes": [],
}
WORKER = {"alive": True, "device": "CPU, 2 threads", "busy_with": "project 12: learning rotations"}


def _shown(projects: list[dict[str, Any]], worker: dict[str, Any]) -> str:
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        show({"projects": projects, "worker": worker}, console)
    return capture.get()


def test_shows_the_progress_of_a_project() -> None:
    text = _shown([PROJECT], WORKER)
    assert "12 Cats [not markup] at http://label-studio.example" in text
    assert "Training the pretext task" in text
    assert "42%" in text
    assert "about 2 min left" in text
    assert "round 2 of 10, 40 of 1,797 labelled, query of 20, 39 in the queue, 2 unreadable" in text
    assert "Worker on CPU, 2 threads: project 12: learning rotations" in text


def test_shows_what_is_served_while_the_rotation_task_is_learned() -> None:
    ready = {"stage": "ready", "stage_detail": "learning the rotation task, epoch 2 of 15", "model_version": "pt4al-r0"}
    served = {"ranked": 512, "encoder": "efficientnet_lite0", "strategy": "balanced", "pretext_learned": False}
    text = _shown([PROJECT | ready | served], WORKER)
    assert "Ready: keep labelling (learning the rotation task, epoch 2 of 15)" in text
    assert (
        "order chosen by balanced from 512 of 1,797 images so far, embedded by efficientnet_lite0; PT4AL's batches "
        "are not learned yet; model: linear probe" in text
    )


def test_times_are_in_the_readers_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert "changed 2026-11-30 08:30:00 JST" in _shown([PROJECT], WORKER)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_shows_errors() -> None:
    trouble = PROJECT | {"stage": "error", "error": "Label Studio cannot be reached."}
    text = _shown([trouble], {"alive": False, "device": "", "busy_with": ""})
    assert "Stopped by an error" in text
    assert "Label Studio cannot be reached." in text
    assert "The worker is not running." in text
    assert "Settings > Model" in _shown([], WORKER)


def test_shows_why_the_worker_does_not_work() -> None:
    gone = {"alive": False, "device": "", "busy_with": ""}
    assert _shown([PROJECT], gone | {"starting": True}).endswith("The worker is starting.\n")
    starved = "the worker gets 12% of a core: other processes, or a limit, take the rest"
    assert "rotations. The worker gets 12% of a core: other" in _shown([PROJECT], WORKER | {"starved": starved})
    halted = PROJECT | {"stage": "error", "error": "The disk is full."}
    console = Console(width=200, highlight=False)
    with console.capture() as capture:
        show({"projects": [halted], "worker": WORKER, "disk": {"error": "The disk is full."}}, console)
    assert capture.get().count("The disk is full.") == 1


def test_says_how_good_the_model_is_and_that_it_is_paused() -> None:
    assert "estimated" not in _shown([PROJECT], WORKER)
    text = _shown([PROJECT | {"estimate": 0.836, "labels_to_check": 1200, "paused": True}], WORKER)
    assert "estimated to be right about 84% of images; 1,200 labels to check" in text
    assert "Paused" in text and "Training" not in text
