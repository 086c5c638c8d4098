"""Digit projects on a real Label Studio."""

from __future__ import annotations

import base64
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from support.known_labels import CLASSES, DIGITS, digit_png
from support.known_projects import KnownProject
from support.studio import Result, Studio, choices_config, choices_result


@dataclass(frozen=True)
class DigitProject(KnownProject):
    """A project of handwritten digits whose true classes are known."""

    truth: dict[int, str]

    @classmethod
    def create(cls, studio: Studio, n: int, *, address: Callable[[int], str] | None = None) -> DigitProject:
        """A project of the first n digits; `address(index)` says where each is, a data: URI by default."""
        project = cls(studio, studio.create_project("digits", choices_config(*CLASSES)), {})
        project.add(range(n), address)
        return project

    def add(self, digits: range, address: Callable[[int], str] | None = None) -> list[int]:
        ids = self.studio.import_images(self.number, [(address or digit_uri)(index) for index in digits])
        self.truth.update(zip(ids, (str(DIGITS.target[index]) for index in digits), strict=True))
        return ids

    def results(self, task: int) -> list[Result]:
        return [choices_result(self.truth[task])]


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
