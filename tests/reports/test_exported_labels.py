"""Labels with the names of their files, in pages, as lists of files per class."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.filled_store import QUESTIONS, add_project, reread, state

from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.reports import exported_labels
from pt4al_backend.reports.exported_labels import classes_of, columns_of, export_lists, exported_images
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

SEEN = {"name": "seen", "kind": "multiple", "classes": ["tail", "ear"]}
AREA = {"name": "area", "kind": "segmentation", "classes": ["sky", "road"]}
TRIANGLE = {"width": 40, "height": 20, "points": [[0.0, 0.0], [50.0, 0.0], [50.0, 50.0]]}
SKY, ROAD, UNKNOWN = ({"label": label} | TRIANGLE for label in ("sky", "road", None))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def asked(store: Store, *questions: dict[str, Any], answers: dict[int, Any], **values: str) -> Project:
    """A project with these answers by task; `values`: the image values of tasks, such as `t7`."""
    project = add_project(store)
    store.update(project.id, questions=list(questions))
    states = [
        state(task, answers=given, image=values.get(f"t{task}", f"/data/upload/1/{task}.png"))
        for task, given in answers.items()
    ]
    store.apply(project.id, states, regions=AREA["name"])
    store.reserve_rows(project.id, list(answers))
    store.images_done(project.id, ready={s.id: (s.image, 40, 20) for s in states}, failed={})
    return reread(store, project)


def test_images_come_in_pages_with_what_is_known_of_them(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported_labels, "PAGE", 2)
    answers = {task: {"area": [SKY, UNKNOWN]} if task < 5 else {} for task in range(1, 7)}
    images = list(exported_images(store, project := asked(store, AREA, answers=answers)))
    assert [image.task for image in images] == [1, 2, 3, 4]
    assert {(image.width, image.height) for image in images} == {(40, 20)}
    assert all(image.answers == {"area": [SKY]} for image in images)  # without what has no class
    chosen = list(exported_images(store, project, [6, 3, 99, 1]))
    assert [(image.task, image.answers) for image in chosen] == [
        (6, {}),
        (3, images[2].answers),
        (1, images[0].answers),
    ]


def test_files_are_named_without_secrets(store: Store) -> None:
    project = asked(
        store,
        *QUESTIONS,
        answers={task: {"kind": "cat"} for task in range(1, 5)},
        t1="https://me:secret@host/a.png?sig=secret",
        t2="/data/local-files/?d=pets/a%20b.png",
        t3="data:image/png;base64,secret",
        t4="s3://bucket/" + "x" * 300 + ".png",
    )
    images = list(exported_images(store, project))
    assert [image.file for image in images] == [
        "https://host/a.png",
        "pets/a b.png",
        "task-3",
        "s3://bucket/" + "x" * 300 + ".png",
    ]
    assert images[0].value == "https://me:secret@host/a.png?sig=secret"


def test_classes_of_answers() -> None:
    kind, seen, area = questions_of([*QUESTIONS, SEEN, AREA])
    assert classes_of(kind, "dog") == ["dog"]
    assert classes_of(seen, ["ear", "tail"]) == ["tail", "ear"]
    assert classes_of(area, [ROAD, SKY, ROAD]) == ["sky", "road"]
    assert classes_of(kind, None) == classes_of(seen, []) == classes_of(area, []) == []


def test_columns(store: Store) -> None:
    assert columns_of(asked(store, *QUESTIONS, answers={})) == ["label"]
    assert columns_of(asked(store, *QUESTIONS, SEEN, answers={})) == ["kind", "seen"]


def _lists(output: Path) -> dict[str, list[str]]:
    with zipfile.ZipFile(output) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode().splitlines() for name in archive.namelist()}


def test_one_list_per_class(store: Store, tmp_path: Path) -> None:
    project = asked(store, *QUESTIONS, answers={1: {"kind": "dog"}, 2: {"kind": "cat"}, 3: {"kind": "dog"}, 4: {}})
    said = export_lists(store, project, tmp_path / "lists.zip")
    assert said == f"3 labels in 2 lists of files: {tmp_path / 'lists.zip'}"
    assert _lists(tmp_path / "lists.zip") == {
        "cat.txt": ["/data/upload/1/2.png"],
        "dog.txt": ["/data/upload/1/1.png", "/data/upload/1/3.png"],
    }


def test_several_questions_have_a_folder_each(store: Store, tmp_path: Path) -> None:
    answers = {1: {"kind": "dog", "seen": ["tail", "ear"], "area": [SKY, SKY, UNKNOWN]}, 2: {"seen": []}}
    export_lists(store, asked(store, *QUESTIONS, SEEN, AREA, answers=answers), tmp_path / "lists.zip")
    one = ["/data/upload/1/1.png"]
    assert _lists(tmp_path / "lists.zip") == {
        "kind/cat.txt": [],
        "kind/dog.txt": one,
        "seen/tail.txt": one,
        "seen/ear.txt": one,
        "area/sky.txt": one,
        "area/road.txt": [],
    }


NAMES = [
    "../../etc/passwd",
    "/abs",
    "a/b",
    "a\\b",
    "A_B",
    "..",
    ".",
    "",
    " ",
    "con:x",
    "é 1",
    "x" * 500,
    "a\nb",
    "=cmd",
]


def test_names_of_classes_are_no_paths(store: Store, tmp_path: Path) -> None:
    """Each has a list of its own, inside the directory that the archive is unpacked in."""
    questions = [{"name": name, "kind": "single", "classes": NAMES} for name in ("../up", "..")]
    answers = {task: {"../up": name, "..": name} for task, name in enumerate(NAMES, 1)}
    export_lists(store, asked(store, *questions, answers=answers), tmp_path / "lists.zip")
    lists = _lists(tmp_path / "lists.zip")
    assert len(lists) == len({name.lower() for name in lists}) == 2 * len(NAMES)
    assert [len(files) for files in lists.values()] == [1] * len(lists)
    with zipfile.ZipFile(tmp_path / "lists.zip") as archive:
        archive.extractall(tmp_path / "out")
    assert len([path for path in (tmp_path / "out").rglob("*") if path.is_file()]) == 2 * len(NAMES)
    for name in lists:
        assert len(name) < 250 and name.count("/") == 1
        assert not name.startswith("/") and ".." not in name.split("/") and not set('\\:\n"') & set(name)
