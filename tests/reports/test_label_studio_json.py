"""What is exported as Label Studio's JSON says the same when it is read again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.filled_store import add_project, reread, state
from support.label_configs import BRUSH, CHOICES, IMAGE, POLYGON, TAGS, given, polygon
from support.regions import brush, packed

from pt4al_backend.datasets.export_file import read_export
from pt4al_backend.label_studio.label_config.config import parse_config
from pt4al_backend.reports.label_studio_json import export_label_studio
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

CONFIG = f"<View>{IMAGE}{POLYGON}{TAGS}{BRUSH}{CHOICES}</View>"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "data")
    yield store
    store.close()


def exported(store: Store, output: Path, config: str, answers: dict[int, Any], image: str = "") -> list[Any]:
    parsed, project = parse_config(config), add_project(store)
    questions = [question.as_json() for question in parsed.questions]
    store.update(project.id, label_config=config, questions=questions)
    regions = next((question.name for question in parsed.questions if question.label_type.has_regions), "")
    states = [state(task, answers=answer, **({"image": image} if image else {})) for task, answer in answers.items()]
    store.apply(project.id, states, regions=regions)
    said = export_label_studio(store, reread(store, project), output)
    tasks: list[Any] = json.loads(output.read_text())
    assert said == f"{len(tasks)} labels: {output}"
    return tasks


def test_answers_survive(store: Store, tmp_path: Path) -> None:
    config = parse_config(CONFIG)
    where = np.zeros((20, 30), dtype=bool)
    where[2:9, 3:20] = True
    regions = given(polygon("sky"), brush(packed(where), "road"), polygon("car"), brush(packed(where), "car"))
    drawn = config.answers([regions])["poly+brush"]
    assert len(drawn) == 4
    answers = {
        1: {"choice": "dog", "tags": ["a", "b"], "poly+brush": drawn},
        2: {"choice": "cat"},
        5: {"poly+brush": drawn[:1]},
    }
    tasks = exported(store, tmp_path / "labels.json", CONFIG, answers)
    assert [task["id"] for task in tasks] == [1, 2, 5]
    assert [task["data"] for task in tasks] == [{"image": f"/data/upload/{task}.png"} for task in answers]
    assert [config.answers(task["annotations"]) for task in tasks] == list(answers.values())
    assert all(annotation["ground_truth"] is False for task in tasks for annotation in task["annotations"])


def test_results_are_as_label_studio_writes_them(store: Store, tmp_path: Path) -> None:
    made = polygon("sky"), brush(packed(np.eye(20, 30, dtype=bool)), "road")
    answer = {"poly+brush": parse_config(CONFIG).answers([given(*made)])["poly+brush"], "choice": "dog"}
    (task,) = exported(store, tmp_path / "labels.json", CONFIG, {1: answer})
    results = {result["from_name"]: result for result in task["annotations"][0]["result"]}
    for original in made:
        written = results[str(original["from_name"])]
        assert written.pop("id") and written == {name: part for name, part in original.items() if name != "id"}
    assert results["choice"] == {
        "from_name": "choice",
        "to_name": "image",
        "type": "choices",
        "value": {"choices": ["dog"]},
    }


def test_an_empty_answer_stays_one(store: Store, tmp_path: Path) -> None:
    config = f"<View>{IMAGE}{TAGS}</View>"
    tasks = exported(store, tmp_path / "labels.json", config, {1: {"tags": []}, 2: {"tags": ["b"]}})
    assert [parse_config(config).answers(task["annotations"]) for task in tasks] == [{"tags": []}, {"tags": ["b"]}]


def test_regions_that_no_control_makes_any_more_are_left_out(store: Store, tmp_path: Path) -> None:
    config = f"<View>{IMAGE}{POLYGON}</View>"
    (sky,) = parse_config(config).answers([given(polygon("sky"))])["poly"]
    painted = {"label": "sky", "width": 4, "height": 2, "rle": "AAAA"}
    (task,) = exported(store, tmp_path / "labels.json", config, {1: {"poly": [painted, sky, {"label": "sky"}]}})
    assert [result["type"] for result in task["annotations"][0]["result"]] == ["polygonlabels"]


def test_simulate_reads_it(store: Store, tmp_path: Path) -> None:
    config = f"<View>{IMAGE}{CHOICES}</View>"
    answers = {task: {"choice": "dog" if task % 2 else "cat"} for task in range(1, 9)}
    exported(store, tmp_path / "labels.json", config, answers)
    export = read_export(tmp_path / "labels.json", Settings(label_studio_url="", label_studio_api_key=""))
    assert list(export.answers) == list(answers.values())


def test_addresses_are_whole(store: Store, tmp_path: Path) -> None:
    """Else Label Studio could not show the images again."""
    config = f'<View><Image name="image" value="$photo"/>{CHOICES}</View>'
    address = "https://host/a.png?sig=1"
    (task,) = exported(store, tmp_path / "labels.json", config, {1: {"choice": "cat"}}, image=address)
    assert task["data"] == {"photo": address}
