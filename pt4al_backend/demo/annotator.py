"""An annotator who knows the answers and labels what Label Studio's own stream serves."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx

from pt4al_backend.demo.demo_project import DemoProject, all_tasks, call, send
from pt4al_backend.errors import PT4ALError

PACE = 0.5  # seconds between two labels: a quick person


@dataclass(frozen=True)
class Served:
    """One task as the stream served it, before its label was known."""

    task: int
    version: str  # prediction version it was published under; empty: it was not published
    right: bool | None  # whether the pre-annotation was right; None: there was none

    @property
    def round(self) -> int | None:
        """The round the version's name tells."""
        found = re.match(r"pt4al-r(\d+)-", self.version)
        return int(found.group(1)) if found else None


@dataclass(frozen=True)
class RoundTally:
    """What a round's labels showed."""

    round: int  # as in versions: the first is 0
    labels: int  # given in this round
    labels_so_far: int
    predicted: int  # of this round's labels, those that had a pre-annotation
    right: int  # of these, those whose pre-annotation was right


def annotate(api: httpx.Client, project: DemoProject, *, labels: int, waiting: Callable[[], None]) -> Iterator[Served]:
    """Give up to `labels` labels, one at a time, and tell what was served. Ends early when nothing is left.

    `waiting` is called before each label; it may raise, e.g. because a process has died.
    """
    for _ in range(labels):
        waiting()
        began = time.monotonic()
        task = _next_task(api, project)
        if task is None:
            return
        truth = project.truth.get(task["data"].get("image"))
        if truth is None:
            raise PT4ALError(f"Task {task['id']} shows none of these images, so the played annotator has no answer.")
        served = _look_at(api, task, truth)
        call(api, "POST", f"/api/tasks/{task['id']}/annotations/", json=_annotation(truth))
        yield served
        time.sleep(max(0.0, PACE - (time.monotonic() - began)))


def tally_rounds(served: list[Served], *, before: int) -> list[RoundTally]:
    """One tally per round, in the order the rounds were served.

    A task that was not published counts for the round before it. `labels_so_far` includes all rounds before, and
    the labels that were there `before`.
    """
    tallies: list[RoundTally] = []
    for one in served:
        number = one.round if one.round is not None else (tallies[-1].round if tallies else 0)
        if not tallies or tallies[-1].round != number:
            tallies.append(RoundTally(number, 0, tallies[-1].labels_so_far if tallies else before, 0, 0))
        last = tallies[-1]
        tallies[-1] = RoundTally(
            round=number,
            labels=last.labels + 1,
            labels_so_far=last.labels_so_far + 1,
            predicted=last.predicted + (one.right is not None),
            right=last.right + bool(one.right),
        )
    return tallies


def right_on_the_rest(api: httpx.Client, backend: httpx.Client, project: DemoProject) -> tuple[int, int]:
    """Of the images nobody labelled: for how many the model is right, and how many it was asked about."""
    tasks = [
        task
        for task in all_tasks(api, project)
        if not task["is_labeled"] and task["data"].get("image") in project.truth
    ]
    config = call(api, "GET", f"/api/projects/{project.id}")["label_config"]
    body = {"project": str(project.id), "tasks": [{"id": task["id"]} for task in tasks], "label_config": config}
    answers = call(backend, "POST", "/predict", json=body)["results"]
    guesses = [
        (_choice(answer["result"]), project.truth[task["data"]["image"]])
        for answer, task in zip(answers, tasks, strict=True)
    ]
    known = [guess == truth for guess, truth in guesses if guess is not None]
    return sum(known), len(known)


def _next_task(api: httpx.Client, project: DemoProject) -> dict[str, Any] | None:
    answer = send(api, "GET", f"/api/projects/{project.id}/next", allow=(404,))  # 404: nothing is left
    task: dict[str, Any] | None = None if answer.status_code == 404 else answer.json()
    return task


def _look_at(api: httpx.Client, task: dict[str, Any], truth: str) -> Served:
    # The stream's answer holds the predictions of the version that is current *now*. Where the worker
    # published a new one between choosing the task and answering, the list of predictions still tells.
    predictions = task["predictions"] or call(api, "GET", "/api/predictions/", params={"task": task["id"]})
    published = [one for one in predictions if str(one["model_version"]).startswith("pt4al-")]
    if not published:
        return Served(task["id"], "", None)
    guess = _choice(published[-1]["result"])
    return Served(task["id"], published[-1]["model_version"], None if guess is None else guess == truth)


def _choice(result: list[dict[str, Any]]) -> str | None:
    choices = [choice for region in result for choice in region["value"].get("choices", [])]
    return choices[0] if choices else None


def _annotation(label: str) -> dict[str, Any]:
    region = {"from_name": "class", "to_name": "image", "type": "choices", "value": {"choices": [label]}}
    return {"result": [region], "lead_time": PACE}
