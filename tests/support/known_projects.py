"""Projects on a real Label Studio whose true answers are known, and what their annotators are served."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pt4al_backend.store.store import Store
from support.processes import Found
from support.served import Backend
from support.studio import Result, Studio

QUICK = {
    "encoder": "rotation",
    "cycles": 3,
    "query_size": 4,
    "slack": 6,
    "pretext_epochs": 1,
    "main_epochs": 2,
    "device": "cpu",
    "poll_interval": 1,
    "idle_interval": 3,
}
"""Settings that make a loop of small steps; what it learns does not matter in these tests.

Label Studio tells of labels by itself, and takes a twentieth of a second of a core for each question.
"""


@dataclass(frozen=True)
class KnownProject:
    """A project whose truth is known, by task."""

    studio: Studio
    number: int
    truth: dict[int, Any]

    def results(self, task: int) -> list[Result]:
        """The true answer, as the `result` of an annotation."""
        raise NotImplementedError

    def label(self, task: int, annotator: Studio | None = None) -> int:
        """Submit the true answer and return the annotation's id."""
        return (annotator or self.studio).submit(task, self.results(task))

    def connect(self, backend: Backend, *, seconds: float = 120) -> None:
        self.studio.connect_backend(self.number, backend.url)
        wait_until(lambda: (backend.project(self.number) or {}).get("stage") in ("ready", "training"), seconds)
        wait_until(lambda: self.version.startswith("pt4al-r"), seconds, every=0.5)

    @property
    def version(self) -> str:
        answer = self.studio.api("GET", f"/api/projects/{self.number}/", params={"include": "model_version"})
        return str(answer["model_version"] or "")

    def queue(self) -> list[int]:
        """What the published predictions say is to come, in order."""
        return list(self.published())

    def published(self) -> dict[int, list[Result]]:
        """What the published predictions of unlabelled tasks answer, by task in serving order."""
        version = self.version
        query = {"project": self.number, "fields": "all", "include": "id,annotations,predictions", "page_size": 1000}
        tasks = self.studio.api("GET", "/api/tasks/", params=query)["tasks"]
        scored = [
            (prediction["score"], task["id"], prediction["result"])
            for task in tasks
            if not task["annotations"]
            for prediction in task["predictions"]
            if prediction["model_version"] == version
        ]
        return {task: result for _, task, result in sorted(scored, key=lambda entry: entry[:2])}


def annotate_in_turn(
    backend: Backend, project: KnownProject, annotators: list[Studio], labels: int, *, to_round: int = 0
) -> list[int]:
    """Label what is served, and check that it was next in an order published then. Returns the rounds passed.

    After `labels` it goes on, for as many again at most, until `to_round` is published: who labels faster than
    a round is closed labels images of that round's slack.
    """
    rounds: list[int] = []
    answered: set[int] = set()
    with recorded_orders(backend.data_dir, project.number) as orders_since:
        for turn in range(2 * labels):
            if turn >= labels and rounds[-1] >= to_round:
                break
            # People do not label a whole window in the seconds that a busy machine takes for the next one.
            wait_until(lambda: set((orders_since(0.0) or [[]])[-1]) - answered)
            annotator, asked = annotators[turn % len(annotators)], time.monotonic()
            task = annotator.next_task(project.number)["id"]

            def was_next(task=task, asked=asked):
                orders = [[other for other in order if other not in answered] for order in orders_since(asked - 0.5)]
                # Label Studio hands several annotators one of the first few (fact 5).
                return any(task in order[: len(annotators)] for order in orders)

            # The backend's store learns of an order after Label Studio, and much later where an answer is lost.
            wait_until(was_next, 20)
            project.label(task, annotator)
            answered.add(task)
            rounds.append(int(project.version.split("-")[1][1:]))
    return rounds


@contextmanager
def recorded_orders(data_dir: Path, number: int) -> Iterator[Callable[[float], list[list[int]]]]:
    """Record every order that is published; yields what gives those that were current at or after a moment.

    Moments are those of `time.monotonic`. The store learns of an order a moment after Label Studio does.
    """
    seen: list[tuple[float, list[int]]] = []  # until when, and the tasks in order
    over = threading.Event()

    def record() -> None:
        store = Store(data_dir)
        while not over.wait(0.02):
            now = (time.monotonic(), store.find(number)[0].published)
            seen[-1:] = [now] if seen and seen[-1][1] == now[1] else [*seen[-1:], now]
        store.close()

    thread = threading.Thread(target=record)
    thread.start()
    try:
        yield lambda moment: [order for until, order in list(seen) if until > moment]
    finally:
        over.set()
        thread.join()


def stored(backend: Backend, project: KnownProject, read: Callable[[Store, Any], Any]) -> Any:
    """What `read(store, row of the project)` finds in the backend's store."""
    store = Store(backend.data_dir)
    try:
        return read(store, store.find(project.number)[0])
    finally:
        store.close()


def wait_until(condition: Callable[[], Found], seconds: float = 180, *, every: float = 0.2) -> Found:
    """Wait for `condition`, and return what it answers; `AssertionError` when it does not come about in time."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(every)
    return found
