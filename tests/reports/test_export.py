from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.filled_store import LABEL_STUDIO, QUESTIONS, add_project, reread, settings_in, state

from pt4al_backend.errors import PT4ALError
from pt4al_backend.reports.export import FORMATS, What, export, find_project, format_of
from pt4al_backend.store.checkpoints import load_arrays, save_arrays
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def _sorted_project(store: Store) -> Project:
    """Tasks 1 to 4 by loss 3, 1, 2, 4; task 3 is labelled, 1 skipped; task 5 has no loss yet."""
    project = add_project(store)
    answers = {1: {"skipped": True}, 3: {"label": "dog"}}
    store.apply(project.id, [state(task, **answers.get(task, {})) for task in range(1, 6)])
    images = {task: (f"/data/upload/{task}.png", 40, 30) for task in range(1, 6)}
    store.reserve_rows(project.id, list(images))
    store.images_done(project.id, ready=images, failed={})
    store.save_batches(
        project.id,
        task=np.array([4, 1, 3, 2]),
        loss=np.array([0.1 + 0.2, 0.25, 2e-5, 1e-5]),
        batch=np.array([0, 0, 1, 1]),
    )
    return reread(store, project)


def test_batches_are_written_hardest_first(store: Store, tmp_path: Path) -> None:
    said = export("batches", store, _sorted_project(store), tmp_path / "batches.csv")
    assert said.startswith("4 images in 2 batches")
    with (tmp_path / "batches.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["task_id", "pretext_loss", "batch", "rank", "split", "file_name", "label"]
    assert [row["file_name"] for row in rows] == [f"/data/upload/{task}.png" for task in (4, 1, 3, 2)]
    assert [row["label"] for row in rows] == ["", "", "dog", ""]
    assert [row["task_id"] for row in rows] == ["4", "1", "3", "2"]
    assert [row["split"] for row in rows] == ["unlabelled", "skipped", "labelled", "unlabelled"]
    assert [float(row["pretext_loss"]) for row in rows] == [0.1 + 0.2, 0.25, 2e-5, 1e-5]  # every digit
    assert [(row["batch"], row["rank"]) for row in rows] == [("0", "0"), ("0", "1"), ("1", "2"), ("1", "3")]


def test_labels(store: Store, tmp_path: Path) -> None:
    export("labels", store, _sorted_project(store), tmp_path / "labels.csv")
    assert (tmp_path / "labels.csv").read_text().splitlines() == [
        "task_id,label,file_name",
        "3,dog,/data/upload/3.png",
    ]


REGIONS = [
    {"label": "sky", "width": 4, "height": 2, "points": [[0.0, 0.5], [100.0, 0.0], [50.0, 100.0]]},
    {"label": 'a "road"', "width": 4, "height": 2, "rle": "AAAA"},
]
SEEN = {"name": "seen", "kind": "multiple", "classes": ["tail", "ear, left", "paw"]}
AREA = {"name": "brush+polygon", "kind": "segmentation", "classes": ["sky", 'a "road"']}


def _labels(store: Store, project: Project, output: Path) -> list[dict[str, str]]:
    assert "labels" in export("labels", store, reread(store, project), output)
    with output.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_labels_of_several_questions(store: Store, tmp_path: Path) -> None:
    project = add_project(store)
    store.update(project.id, questions=[*QUESTIONS, SEEN, AREA])
    answers = [
        {"kind": "dog", "seen": ["ear, left", "paw"], "brush+polygon": REGIONS},
        {"brush+polygon": REGIONS[:1]},
        {},
        {"seen": ["tail"]},
    ]
    states = [state(task, answers=given) for task, given in enumerate(answers, start=1)]
    store.apply(project.id, states, regions="brush+polygon")
    first, second, fourth = _labels(store, project, tmp_path / "labels.csv")
    assert list(first) == ["task_id", "kind", "seen", "brush+polygon", "file_name"]
    assert (first["task_id"], first["kind"]) == ("1", "dog")
    assert json.loads(first["seen"]) == ["ear, left", "paw"]
    assert json.loads(first["brush+polygon"]) == REGIONS  # as they were made, not what stands for them
    assert (second["task_id"], second["kind"], second["seen"]) == ("2", "", "")
    assert json.loads(second["brush+polygon"]) == REGIONS[:1]
    assert fourth == {
        "task_id": "4",
        "kind": "",
        "seen": '["tail"]',
        "brush+polygon": "",
        "file_name": "/data/upload/4.png",
    }


@pytest.mark.parametrize("question", [SEEN, AREA], ids=["multiple", "segmentation"])
def test_an_empty_answer_is_a_label(store: Store, tmp_path: Path, question: dict[str, Any]) -> None:
    project = add_project(store)
    store.update(project.id, questions=[question])
    states = [state(1, answers={question["name"]: []}), state(2)]
    store.apply(project.id, states, regions=AREA["name"])
    assert _labels(store, project, tmp_path / "labels.csv") == [
        {"task_id": "1", "label": "[]", "file_name": "/data/upload/1.png"}
    ]


ODD = [
    "=1+1",
    "+1",
    "-2",
    "@SUM(A1)",
    "\t=1",
    "\r=1",
    "\n=1",
    " =1",
    "\uff1d1",
    "'",
    "''=1",
    " '-1",
    "cat",
    "a=b",
    "5'",
]


def test_no_cell_is_a_formula_and_all_texts_can_be_restored(store: Store, tmp_path: Path) -> None:
    """A ' is put before each formula; removing one ' from each cell that begins with one restores the text."""
    project = add_project(store)
    store.update(project.id, questions=[*QUESTIONS, {"name": "=kind", "kind": "single", "classes": ODD}])
    answers = [{"kind": text, "=kind": text} for text in ODD]
    store.apply(project.id, [state(task, answers=given) for task, given in enumerate(answers, start=1)])
    rows = _labels(store, project, tmp_path / "labels.csv")
    assert list(rows[0]) == ["task_id", "kind", "'=kind", "file_name"]
    cells = [row[name] for row in rows for name in ("kind", "'=kind")]
    assert not any(cell.lstrip(" ").startswith(tuple("=+-@\t\r\n\uff1d")) for cell in cells)
    assert [cell.removeprefix("'") for cell in cells] == [text for text in ODD for _ in range(2)]


def test_batches_name_the_classes_of_every_question(store: Store, tmp_path: Path) -> None:
    project = _sorted_project(store)
    store.update(project.id, questions=[*QUESTIONS, SEEN, AREA])
    answers = {"kind": "dog", "seen": ["paw", "tail"], "brush+polygon": [*REGIONS, {"label": None}, *REGIONS]}
    store.apply(
        project.id,
        [state(3, version="2", answers=answers), state(2, version="2", answers={"seen": []})],
        regions=AREA["name"],
    )
    export("batches", store, reread(store, project), tmp_path / "batches.csv")
    with (tmp_path / "batches.csv").open(newline="") as file:
        rows = {row["task_id"]: row for row in csv.DictReader(file)}
    assert [rows["3"][name] for name in ("kind", "seen")] == ["dog", '["tail", "paw"]']
    assert json.loads(rows["3"]["brush+polygon"]) == AREA["classes"]
    assert [rows["2"][name] for name in ("kind", "seen", "brush+polygon")] == ["", "[]", ""]


def test_numbers_stay_numbers(store: Store, tmp_path: Path) -> None:
    project = _sorted_project(store)
    losses = np.array([-1.5, -2e-5, -1.0, 0.0])
    store.save_batches(project.id, task=np.array([4, 1, 3, 2]), loss=losses, batch=np.zeros(4, dtype=np.int64))
    export("batches", store, reread(store, project), tmp_path / "batches.csv")
    with (tmp_path / "batches.csv").open(newline="") as file:
        assert sorted(row["pretext_loss"] for row in csv.DictReader(file)) == ["-1.0", "-1.5", "-2e-05", "0.0"]


def test_the_newest_network_is_exported_with_its_questions(store: Store, tmp_path: Path) -> None:
    project = _sorted_project(store)
    output = tmp_path / "model.safetensors"
    with pytest.raises(PT4ALError, match="no trained network yet"):
        export("model", store, project, output)

    models = store.models_dir(project.id)
    save_arrays(models / "pretext-1.safetensors", {"w": np.zeros(1)}, {"width": 8})
    store.update(project.id, pretext_generation=1)
    assert "pretext network" in export("model", store, reread(store, project), output)
    save_arrays(models / "pretext-1.safetensors", {"w": np.zeros(1)}, {"rotation_head_of": "lite0"})
    assert "rotation head on embeddings of lite0" in export("model", store, reread(store, project), output)
    save_arrays(models / "pretext-1.safetensors", {"w": np.zeros(1)}, {"width": 8})
    _, meta = load_arrays(output) or ({}, {})
    assert meta["questions"] == QUESTIONS

    save_arrays(models / "main-3.safetensors", {"w": np.ones(2)}, {"width": 8, "questions": ["what was asked then"]})
    store.update(project.id, main_generation=3, main_labels=1)
    assert "main network, trained on 1 label" in export("model", store, reread(store, project), output)
    arrays, meta = load_arrays(output) or ({}, {})
    assert arrays["w"].tolist() == [1, 1]
    assert meta["questions"] == ["what was asked then"]  # what it was trained on, not what is asked now
    assert (meta["network"], meta["generation"], meta["width"]) == ("main", 3, 8)

    save_arrays(models / "tuned-2.safetensors", {"conv_head.weight": np.ones(2)}, {"encoder": "lite0"})
    store.update(project.id, tuned_generation=2, encoder="lite0")
    assert "fine-tuned last blocks of lite0" in export("model", store, reread(store, project), output)
    _, meta = load_arrays(output) or ({}, {})
    assert (meta["network"], meta["generation"], meta["encoder"]) == ("tuned", 2, "lite0")


@pytest.mark.parametrize("what", ["batches", "labels", "model"])
def test_an_output_that_cannot_be_written_is_reported(store: Store, tmp_path: Path, what: What) -> None:
    project = _sorted_project(store)
    save_arrays(store.models_dir(project.id) / "pretext-1.safetensors", {"w": np.zeros(1)}, {})
    store.update(project.id, pretext_generation=1)
    for output, says in ((tmp_path, "is a directory"), (tmp_path / "none" / "file", "is not a directory")):
        with pytest.raises(PT4ALError, match=says):
            export(what, store, reread(store, project), output)
    assert {path.name for path in tmp_path.iterdir()} == {"data"}


@pytest.mark.parametrize(
    ("what", "wanted", "output", "found"),
    [
        ("labels", None, "labels.csv", "csv"),
        ("labels", None, "labels", "csv"),
        ("labels", None, "labels.json", "csv"),
        ("labels", "coco", "labels.csv", "coco"),
        ("batches", None, "batches.onnx", "csv"),
        ("batches", "csv", "batches", "csv"),
        ("model", None, "model", "safetensors"),
        ("model", None, "model.ONNX", "onnx"),
        ("model", "onnx", "model.safetensors", "onnx"),
        ("model", "safetensors", "model.onnx", "safetensors"),
    ],
)
def test_formats(what: What, wanted: str | None, output: str, found: str) -> None:
    assert format_of(what, wanted, Path(output)) == found


@pytest.mark.parametrize(
    ("what", "wanted", "says"),
    [
        ("labels", "yolo", "no format yolo for labels: choose csv, label-studio, coco or lists."),
        ("labels", "onnx", "no format onnx for labels: choose csv, label-studio, coco or lists."),
        ("labels", "", "no format  for labels: choose csv, label-studio, coco or lists."),
        ("model", "csv", "no format csv for model: choose safetensors or onnx."),
        ("batches", "coco", "no format coco for batches: leave --format out, or choose csv."),
    ],
)
def test_an_unknown_format_is_refused_with_those_that_there_are(what: What, wanted: str, says: str) -> None:
    with pytest.raises(PT4ALError) as refused:
        format_of(what, wanted, Path("file"))
    assert says in str(refused.value)


@pytest.mark.parametrize("form", FORMATS["labels"])
def test_every_format_of_labels_is_written(store: Store, tmp_path: Path, form: str) -> None:
    said = export("labels", store, _sorted_project(store), tmp_path / "labels", form=form)
    assert said.startswith("1 labels") and said.endswith(f": {tmp_path / 'labels'}")
    assert b"dog" in (tmp_path / "labels").read_bytes()


def test_a_failed_export_leaves_the_old_file(store: Store, tmp_path: Path) -> None:
    project = add_project(store)
    output = tmp_path / "batches.csv"
    output.write_text("old")
    with pytest.raises(PT4ALError, match="has no batches yet"):
        export("batches", store, project, output)
    assert output.read_text() == "old"


def test_projects_are_found_by_label_studios_id(store: Store, tmp_path: Path) -> None:
    settings = settings_in(tmp_path, label_studio_url="")
    with pytest.raises(PT4ALError, match=r"Project 12 is not known here\. Known: none yet\."):
        find_project(store, 12, settings)
    add_project(store, 12, created="1600000000")
    newest = add_project(store, 12)
    assert find_project(store, 12, settings).id == newest.id

    other = add_project(store, 12, url="http://other.example")
    with pytest.raises(PT4ALError, match=r"Several Label Studios .*LABEL_STUDIO_URL"):
        find_project(store, 12, settings)
    assert find_project(store, 12, settings_in(tmp_path, label_studio_url=LABEL_STUDIO)).id == newest.id
    assert find_project(store, 12, settings_in(tmp_path, label_studio_url=other.label_studio_url)).id == other.id
