"""Digit projects on a real Label Studio, and what its annotators are served."""

from __future__ import annotations

import base64
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from known_labels import CLASSES, DIGITS, digit_png
from served import Backend
from studio import Studio, choices_config

from pt4al_backend.store.store import Store

QUICK = {
    "cycles": 3,
    "query_size": 4,
    "slack": 6,
    "pretext_epochs": 1,
    "main_epochs": 2,
    "device": "cpu",
    "poll_interval": 0.5,
    "idle_interval": 1,
}
"""Settings that make a loop of small steps; what is learnt does not matter in these tests."""


@dataclass(frozen=True)
class DigitProject:
    """A project of handwritten digits whose true classes are known."""

    studio: Studio
    number: int
    truth: dict[int, str]

    @classmethod
    def create(cls, studio: Studio, n: int, *, address: Callable[[int], str] | None = None) -> DigitProject:
        """A project of the first n digits; ``address(index)`` says where each is, a data: URI by default."""
        project = cls(studio, studio.create_project("digits", choices_config(*CLASSES)), {})
        project.add(range(n), address)
        return project

    def add(self, digits: range, address: Callable[[int], str] | None = None) -> list[int]:
        ids = self.studio.import_images(self.number, [(address or digit_uri)(index) for index in digits])
        self.truth.update(zip(ids, (str(DIGITS.target[index]) for index in digits), strict=True))
        return ids

    def connect(self, backend: Backend, *, seconds: float = 120) -> None:
        self.studio.connect_backend(self.number, backend.url)
        wait_until(lambda: (backend.project(self.number) or {}).get("stage") in ("ready", "training"), seconds)
        wait_until(lambda: self.version.startswith("pt4al-r"), seconds)

    @property
    def version(self) -> str:
        return str(self.studio.project(self.number)["model_version"] or "")

    def queue(self) -> list[int]:
        """What the published predictions say is to come, in order."""
        version = self.version
        query = {"project": self.number, "fields": "all", "page_size": 1000}
        tasks = self.studio.api("GET", "/api/tasks", params=query)["tasks"]
        scored = [
            (prediction["score"], task["id"])
            for task in tasks
            if not task["annotations"]
            for prediction in task["predictions"]
            if prediction["model_version"] == version
        ]
        return [task for _, task in sorted(scored)]

    def label(self, task: int) -> int:
        return self.studio.annotate(task, self.truth[task])


@contextmanager
def recorded_orders(data_dir: Path, number: int) -> Iterator[Callable[[float], list[list[int]]]]:
    """Record every order that is published; yields what gives those that were current at or after a moment.

    Moments are those of ``time.monotonic``. The store learns of an order a moment after Label Studio does.
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


class _SlowDigits(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        time.sleep(0.2)
        body = digit_png(int(self.path.strip("/").removesuffix(".png")))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def slow_digits() -> Iterator[Callable[[int], str]]:
    """A web server that takes its time for each digit; yields what gives the address of one."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _SlowDigits)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield lambda index: f"http://127.0.0.1:{server.server_port}/{index}.png"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def digit_uri(index: int) -> str:
    return "data:image/png;base64," + base64.b64encode(digit_png(index)).decode()


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Wait for ``condition``; ``AssertionError`` when it does not come about in time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.2)
