"""The contract of /api/status."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from support.filled_store import add_project, add_ranked, reread, settings_in, state

from pt4al_backend.processes.cpu_meter import CpuUse
from pt4al_backend.reports.status import health, is_alive, status
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Worker


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def test_before_anything_is_connected(store: Store, tmp_path: Path) -> None:
    assert status(store, settings_in(tmp_path)) == {
        "projects": [],
        "worker": {
            "alive": False,
            "starting": False,
            "device": "",
            "busy_with": "",
            "cpu_share": None,
            "memory_bytes": None,
            "starved": "",
        },
        "disk": {"error": ""},
    }


def test_a_project(store: Store, tmp_path: Path) -> None:
    store.beat(device="NVIDIA H200", busy_with="project 12: training")
    project = add_ranked(store, url="http://user:secret@ls.example:8080/label-studio")
    store.images_done(
        project.id, ready={4: ("/data/upload/4.png", 40, 30)}, failed={5: ("/data/upload/5.png", "broken")}
    )
    store.apply(project.id, [state(1, "cat", version="2"), state(9, "dog", version="2")])
    store.remove_tasks(project.id, [2])
    store.update(
        project.id,
        title="Pets",
        stage="training",
        stage_progress=0.5,
        stage_detail="epoch 3",
        eta_seconds=12.5,
        round=2,
        cycles=7,
        query_size=15,
        image_size=64,
        error="",
    )
    answer = status(store, settings_in(tmp_path))
    (shown,) = answer["projects"]
    written = datetime.fromisoformat(shown.pop("updated_at").replace("Z", "+00:00"))
    assert abs((datetime.now(timezone.utc) - written).total_seconds()) < 5
    assert shown == {
        "label_studio_url": "http://ls.example:8080/label-studio",
        "id": 1,
        "paused": False,
        "estimate": None,
        "labels_to_check": None,
        "order_latency": None,
        "project": 12,
        "title": "Pets",
        "task_type": "classification",
        "stage": "training",
        "stage_progress": 0.5,
        "stage_detail": "epoch 3",
        "eta_seconds": 12.5,
        "round": 2,
        "cycles": 7,
        "query_size": 15,
        "tasks": 9,
        "pool": 1,
        "unreadable": 1,
        "labelled": 2,
        "model_version": "pt4al-r0-n0-p12",
        "ranked": 0,
        "encoder": "rotation",
        "strategy": "pt4al",
        "fine_tuned": False,
        "fine_tuned_accuracy": None,
        "probe_accuracy": None,
        "pretext_learned": False,
        "queue_length": 3,  # of 1 to 5, task 1 was labelled and task 2 deleted
        "error": "",
        "notes": [],
    }
    assert answer["worker"] == {
        "alive": True,
        "starting": False,
        "device": "NVIDIA H200",
        "busy_with": "project 12: training",
        "cpu_share": None,
        "memory_bytes": None,
        "starved": "",
    }
    json.dumps(answer, allow_nan=False)


@pytest.mark.parametrize(
    ("kinds", "shown"),
    [
        ([], "classification"),
        (["single"], "classification"),
        (["single", "single"], "classification"),
        (["multiple"], "multi-label classification"),
        (["segmentation"], "segmentation"),
        (["multiple", "single", "segmentation"], "multi-label classification + classification + segmentation"),
    ],
)
def test_the_task_type_names_every_label_type(store: Store, tmp_path: Path, kinds: list[str], shown: str) -> None:
    project = add_project(store)
    questions = [{"name": f"q{k}", "kind": kind, "classes": ["a", "b"]} for k, kind in enumerate(kinds)]
    store.update(project.id, questions=questions)
    (answer,) = status(store, settings_in(tmp_path))["projects"]
    assert answer["task_type"] == shown


def test_notes_of_the_config_and_of_the_first_tasks(store: Store, tmp_path: Path) -> None:
    project = add_project(store)
    store.update(project.id, notes=["PT4AL does not learn from Rating."])
    said = {9: ["no label", "no size"], 2: ["nothing is painted"]}
    store.apply(project.id, [state(task, notes=tuple(said.get(task, ["torn"]))) for task in range(1, 13)])
    store.apply(project.id, [state(1, version="2")])  # made again
    (answer,) = status(store, settings_in(tmp_path))["projects"]
    assert answer["notes"] == [
        "PT4AL does not learn from Rating.",
        "Task 2: nothing is painted",
        *(f"Task {task}: torn" for task in range(3, 7)),
    ]
    store.apply(project.id, [state(task, version="3", notes=()) for task in [*range(2, 9), *range(10, 13)]])
    (answer,) = status(store, settings_in(tmp_path))["projects"]
    assert answer["notes"][1:] == ["Task 9: no label", "Task 9: no size"]
    json.dumps(answer, allow_nan=False)


def test_what_the_order_is_chosen_from_and_with(store: Store, tmp_path: Path) -> None:
    project = add_ranked(store)
    sentence = "timm has no network x: choose one of timm's names."
    store.update(
        project.id, encoder="lite0", encoder_note=sentence, ranked_pool=8, pretext_generation=1, notes=["Rating."]
    )
    (shown,) = status(store, settings_in(tmp_path))["projects"]
    assert (shown["ranked"], shown["encoder"], shown["pretext_learned"]) == (8, "lite0", True)
    assert shown["notes"] == [sentence, "Rating."]


@pytest.mark.parametrize(
    ("settings", "project", "used"),
    [
        ({}, {}, ("efficientnet_lite0", "balanced")),  # before the first image
        ({}, {"encoder": "lite0", "image_size": 64}, ("lite0", "balanced")),
        ({}, {"encoder": "lite0", "image_size": 64, "dense": True}, ("lite0", "maxherding")),
        ({}, {"image_size": 64}, ("rotation", "pt4al")),  # of an older release, until its images are embedded
        ({"preset": "paper"}, {}, ("rotation", "pt4al")),
        ({"strategy": "margin"}, {"encoder": "lite0", "image_size": 64}, ("lite0", "margin")),
    ],
)
def test_the_encoder_and_the_strategy_that_are_used(
    store: Store, tmp_path: Path, settings: dict[str, str], project: dict[str, object], used: tuple[str, str]
) -> None:
    store.update(add_ranked(store).id, **project)
    (shown,) = status(store, settings_in(tmp_path, **settings))["projects"]
    assert (shown["encoder"], shown["strategy"]) == used


def test_whether_a_fine_tuned_encoder_serves(store: Store, tmp_path: Path) -> None:
    project = add_ranked(store)
    store.update(project.id, encoder="lite0", tuned_generation=2, tuned_accuracy=0.91, probe_accuracy=0.88)
    (shown,) = status(store, settings_in(tmp_path))["projects"]
    assert (shown["fine_tuned"], shown["fine_tuned_accuracy"], shown["probe_accuracy"]) == (True, 0.91, 0.88)


def test_notes_about_undrawn_regions_last_as_long_as_the_answer(store: Store) -> None:
    project = add_project(store)
    store.apply(project.id, [state(1, "cat", notes=("no label",)), state(2, "cat")])
    ready = {task: (f"/data/upload/{task}.png", 30, 20) for task in (1, 2)}
    store.note_drawing(project.id, 1, ["too early"])  # its image is not read yet
    store.images_done(project.id, ready=ready, failed={})
    for notes in (["it does not fit", "nor does this"], ["it does not fit"]):
        store.note_drawing(project.id, 1, notes)
        assert store.notes(project.id) == [(1, "no label"), *((1, note) for note in notes)]
        assert store.notes(project.id, limit=2) == store.notes(project.id)[:2]
    store.note_drawing(project.id, 2, [])
    store.note_drawing(project.id, 3, ["there is no such task"])
    store.apply(project.id, [state(1, version="2"), state(2, "cat")])
    assert store.notes(project.id) == [] and store.unreadable(project.id) == []
    store.apply(project.id, [state(1, "cat", version="3")])
    assert store.notes(project.id) == [(1, "it does not fit")]  # it was drawn from the same regions
    store.note_drawing(project.id, 1, [])
    assert store.notes(project.id) == []


def test_no_secret_is_shown(store: Store, tmp_path: Path) -> None:
    store.connect(url="http://ls", number=1, created="", access_token="the-token", label_config="")
    shown = json.dumps(status(store, settings_in(tmp_path)))
    assert "the-token" not in shown
    assert "the-api-key" not in shown


def test_a_project_that_the_worker_has_not_seen(store: Store, tmp_path: Path) -> None:
    project = add_project(store)
    assert (reread(store, project).stage, reread(store, project).stage_detail) == ("waiting", "for the worker")
    (shown,) = status(store, settings_in(tmp_path, cycles=4))["projects"]
    assert (shown["stage"], shown["cycles"], shown["queue_length"], shown["eta_seconds"]) == ("waiting", 4, 0, None)


@pytest.mark.parametrize(("age", "alive"), [(0, True), (14, True), (16, False)])
def test_heartbeats(age: float, alive: bool) -> None:
    assert is_alive(Worker(id=1, heartbeat_at=time.time() - age, device="cpu", busy_with="")) is alive
    assert not is_alive(None)


def test_a_worker_starts_runs_and_ends(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def starting_and_alive() -> tuple[bool, bool]:
        worker = health(store).worker
        return worker["starting"], worker["alive"]

    assert starting_and_alive() == (False, False)
    store.worker_starts()
    assert starting_and_alive() == (True, False)
    later = time.time() + 40  # on a busy machine the process takes so long until it can say so itself
    monkeypatch.setattr(time, "time", lambda: later)
    assert starting_and_alive() == (True, False)
    store.beat(device="cpu", busy_with="")
    assert starting_and_alive() == (False, True)
    store.worker_starts()  # another one, that is refused: two would undo each other's work
    assert starting_and_alive() == (False, True)
    store.worker_ends()
    assert starting_and_alive() == (False, False)


def test_a_starved_worker_is_reported_while_it_computes(store: Store, tmp_path: Path) -> None:
    project = add_ranked(store)
    store.beat(device="cpu", busy_with="project 12: training", cpu=CpuUse(got=0.12, wanted=1.0))
    for stage, detail, eta in [("ready", "", 9.0), ("training", "epoch 3, the worker gets 12% of a core: ", None)]:
        store.update(project.id, stage=stage, stage_detail=detail[:7], eta_seconds=9.0)
        answer = status(store, settings_in(tmp_path))
        (shown,) = answer["projects"]
        assert shown["stage_detail"].startswith(detail) and shown["eta_seconds"] == eta
    assert answer["worker"]["cpu_share"] == 0.12
    assert answer["worker"]["starved"].startswith("the worker gets 12% of a core")
    store.beat(device="cpu", busy_with="", cpu=CpuUse(got=0.06, wanted=1.0))
    assert status(store, settings_in(tmp_path))["worker"]["starved"] == "", "who rests waits for nothing"


def test_trouble_of_the_worker_stops_every_project(store: Store, tmp_path: Path) -> None:
    add_ranked(store)
    store.beat(device="cpu", busy_with="", trouble="The disk is full.")
    answer = status(store, settings_in(tmp_path))
    assert answer["disk"] == {"error": "The disk is full."}
    assert [(shown["stage"], shown["error"]) for shown in answer["projects"]] == [("error", "The disk is full.")]
    store.beat(device="cpu", busy_with="")
    assert status(store, settings_in(tmp_path))["projects"][0]["stage"] == "ready"
