from __future__ import annotations

from typing import Any

import httpx
import pytest
from support.odd_servers import Reply, answering

from pt4al_backend.demo import annotator, demo_project
from pt4al_backend.demo.annotator import RoundTally, Served, tally_rounds
from pt4al_backend.demo.demo_project import DemoProject, all_tasks, call
from pt4al_backend.demo.images import ImageFolder
from pt4al_backend.errors import PT4ALError

pytestmark = pytest.mark.xdist_group("the demo's Label Studio")

VERSION = "pt4al-r1-n0-abc"


def test_tallies_labels_and_accuracy_round_by_round() -> None:
    served = [
        Served(1, "pt4al-r0-n0-abc", None),
        Served(2, "pt4al-r0-n1-abc", right=False),
        Served(3, "pt4al-r0-n2-abc", right=True),
        Served(4, "pt4al-r1-n3-abc", right=True),
        Served(5, "", None),  # not published: counts for the round before it
        Served(6, "pt4al-r12-n5-abc", right=True),
    ]
    assert tally_rounds(served, before=0) == [
        RoundTally(round=0, labels=3, labels_so_far=3, predicted=2, right=1),
        RoundTally(round=1, labels=2, labels_so_far=5, predicted=1, right=1),
        RoundTally(round=12, labels=1, labels_so_far=6, predicted=1, right=1),
    ]
    assert tally_rounds([], before=0) == []


def test_earlier_labels_count_too() -> None:
    assert tally_rounds([Served(1, "pt4al-r2-n40-abc", None)], before=40) == [
        RoundTally(round=2, labels=1, labels_so_far=41, predicted=0, right=0)
    ]


def choice(name: str) -> list[dict[str, Any]]:
    return [{"from_name": "class", "to_name": "image", "type": "choices", "value": {"choices": [name]}}]


@pytest.fixture
def project(api: httpx.Client, pets: ImageFolder, monkeypatch: pytest.MonkeyPatch) -> DemoProject:
    """Two cats and two dogs to label; the first two tasks are predicted to be cat and dog, the third is published."""
    monkeypatch.setattr(annotator, "PACE", 0.0)
    project = demo_project.create(api, pets)
    demo_project.fill(api, project, list(pets.truth), 4)
    tasks = sorted(task["id"] for task in all_tasks(api, project))
    for task, result in zip(tasks, (choice("cat"), choice("dog"), []), strict=False):
        body = {"task": task, "model_version": VERSION, "result": result}
        call(api, "POST", "/api/predictions/", json=body)
    call(api, "PATCH", f"/api/projects/{project.id}", json={"model_version": VERSION})
    return project


def test_labels_what_is_served_until_nothing_is_left(api: httpx.Client, project: DemoProject) -> None:
    waits: list[None] = []
    served = list(annotator.annotate(api, project, labels=9, waiting=lambda: waits.append(None)))
    first, second, third, fourth = sorted(served, key=lambda each: each.task)
    assert (first.version, first.right, first.round) == (VERSION, True, 1)
    assert (second.version, second.right) == (VERSION, False)
    assert (third.version, third.right) == (VERSION, None)
    assert (fourth.version, fourth.right, fourth.round) == ("", None, None)
    assert len(waits) == 5  # once before each label, and once before nothing was left
    annotations = {
        each["result"][0]["value"]["choices"][0]
        for task in all_tasks(api, project)
        for each in call(api, "GET", f"/api/tasks/{task['id']}/annotations/")
    }
    assert annotations == {"cat", "dog"}


def test_a_strange_task_is_reported(api: httpx.Client, pets: ImageFolder) -> None:
    project = demo_project.create(api, pets)
    call(api, "POST", f"/api/projects/{project.id}/import", json=[{"data": {"image": "http://x.example/1.png"}}])
    with pytest.raises(PT4ALError, match="shows none of the demo's images"):
        list(annotator.annotate(api, project, labels=1, waiting=lambda: None))


def test_unlabelled_images_are_predicted_at_the_end(api: httpx.Client, project: DemoProject) -> None:
    (served,) = annotator.annotate(api, project, labels=1, waiting=lambda: None)
    unlabelled = [task for task in all_tasks(api, project) if task["id"] != served.task]
    truths = [project.truth[task["data"]["image"]] for task in unlabelled]
    results = [choice(truths[0]), choice("newt"), []]
    with (
        answering(lambda asked: Reply.json({"results": [{"result": result} for result in results]})) as server,
        httpx.Client(base_url=server.url, trust_env=False) as backend,
    ):
        assert annotator.right_on_unlabelled(api, backend, project) == (1, 2)
    (asked,) = server.asked
    assert asked.path == "/predict"
