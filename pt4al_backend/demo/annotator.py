"""A simulated annotator who knows the answers and labels whatever Label Studio's label stream serves."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from pt4al_backend.demo.demo_project import DemoProject, all_tasks, call, send
from pt4al_backend.errors import PT4ALError

PACE = 0.5  # seconds per label: a quick person


@dataclass(frozen=True)
class Served:
    """A task as the label stream served it, before it was labelled."""

    task: int
    version: str
    """Version of its prediction; "" if the task was not in the published window."""
    right: bool | None
    """Whether the pre-annotation was right; None if there was none."""

    @property
    def round(self) -> int | None:
        """The round in the version's name."""
        match = re.match(r"pt4al-r(\d+)-", self.version)
        return int(match.group(1)) if match else None


@dataclass(frozen=True)
class RoundTally:
    """What the labels of a round showed."""

    round: int
    """As in version names: the first round is 0."""
    labels: int
    """Given in this round."""
    labels_so_far: int
    predicted: int
    """How many of this round's labels had a pre-annotation."""
    right: int
    """How many of these pre-annotations were right."""


def annotate(api: httpx.Client, project: DemoProject, *, labels: int, waiting: Callable[[], None]) -> Iterator[Served]:
    """Label one task after another, and yield each.

    Args:
        labels: How many labels to give; fewer if no task is left.
        waiting: Called before each label. It may raise, for example because a process has ended.
    """
    for _ in range(labels):
        waiting()
        started = time.monotonic()
        task = _next_task(api, project)
        if task is None:
            return
        truth = project.truth.get(task["data"].get("image"))
        if truth is None:
            raise PT4ALError(
                f"Task {task['id']} shows none of the demo's images, so its answer is unknown: delete the task."
            )
        served = _as_served(api, task, truth)
        call(api, "POST", f"/api/tasks/{task['id']}/annotations/", json=_annotation(truth))
        yield served
        time.sleep(max(0.0, PACE - (time.monotonic() - started)))


def tally_rounds(tasks: list[Served], *, before: int) -> list[RoundTally]:
    """One tally per round, in the order in which the rounds were served.

    A task that was not published counts for the round before it.

    Args:
        before: Labels that the project had before; `labels_so_far` includes them.
    """
    tallies: list[RoundTally] = []
    for served in tasks:
        number = served.round if served.round is not None else (tallies[-1].round if tallies else 0)
        if not tallies or tallies[-1].round != number:
            tallies.append(RoundTally(number, 0, tallies[-1].labels_so_far if tallies else before, 0, 0))
        last = tallies[-1]
        tallies[-1] = RoundTally(
            round=number,
            labels=last.labels + 1,
            labels_so_far=last.labels_so_far + 1,
            predicted=last.predicted + (served.right is not None),
            right=last.right + bool(served.right),
        )
    return tallies


def right_on_unlabelled(api: httpx.Client, backend: httpx.Client, project: DemoProject) -> tuple[int, int]:
    """On the unlabelled images: the number of right predictions, and of all predictions."""
    tasks = [
        task
        for task in all_tasks(api, project)
        if not task["is_labeled"] and task["data"].get("image") in project.truth
    ]
    config = call(api, "GET", f"/api/projects/{project.id}")["label_config"]
    body = {"project": str(project.id), "tasks": [{"id": task["id"]} for task in tasks], "label_config": config}
    predictions = call(backend, "POST", "/predict", json=body)["results"]
    right = [
        choice == project.truth[task["data"]["image"]]
        for prediction, task in zip(predictions, tasks, strict=True)
        if (choice := _choice(prediction["result"])) is not None
    ]
    return sum(right), len(right)


def _next_task(api: httpx.Client, project: DemoProject) -> dict[str, Any] | None:
    response = send(api, "GET", f"/api/projects/{project.id}/next", allow=(404,))  # 404: no task is left
    task: dict[str, Any] | None = None if response.status_code == 404 else response.json()
    return task


def _as_served(api: httpx.Client, task: dict[str, Any], truth: str) -> Served:
    # The stream's response holds the predictions of the version that is current when it is sent. If the worker
    # published a new one after the task was chosen, the list of predictions still has the old one.
    predictions = task["predictions"] or call(api, "GET", "/api/predictions/", params={"task": task["id"]})
    published = [prediction for prediction in predictions if str(prediction["model_version"]).startswith("pt4al-")]
    if not published:
        return Served(task["id"], "", None)
    choice = _choice(published[-1]["result"])
    return Served(task["id"], published[-1]["model_version"], None if choice is None else choice == truth)


def _choice(result: list[dict[str, Any]]) -> str | None:
    choices = [choice for region in result for choice in region["value"].get("choices", [])]
    return choices[0] if choices else None


def _annotation(label: str) -> dict[str, Any]:
    region = {"from_name": "class", "to_name": "image", "type": "choices", "value": {"choices": [label]}}
    return {"result": [region], "lead_time": PACE}
