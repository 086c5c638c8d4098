"""Small HTTP servers that are not Label Studio, or stand between it and us."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests


@dataclass(frozen=True)
class Asked:
    """One request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """What to answer. A `status` of 0 closes the connection instead."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200) -> Reply:
        return cls(status, json.dumps(value).encode(), {"Content-Type": "application/json"})


@dataclass(frozen=True)
class OddServer:
    url: str
    asked: list[Asked]


@contextmanager
def answering(answer: Callable[[Asked], Reply], *, host: str = "127.0.0.1", port: int = 0) -> Iterator[OddServer]:
    """A server that answers every request with `answer`, and remembers what it was asked; `port` 0: a free one."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            asked.append(request)
            reply = answer(request)
            self.close_connection = True
            if not reply.status:
                return
            self.send_response(reply.status)
            for name, value in {**reply.headers, "Content-Length": str(len(reply.body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: Any) -> None:
            """Nothing: pytest's output is for failures."""

    server = ThreadingHTTPServer((host, port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield OddServer(f"http://{host}:{server.server_port}", asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def below(prefix: str, url: str) -> Callable[[Asked], Reply]:
    """A reverse proxy that shows the server at `url` below the path `prefix`, and nothing beside it."""

    def forward(asked: Asked) -> Reply:
        if not asked.path.startswith(f"{prefix}/"):
            return Reply(404, b"<html>nothing here</html>")
        kept = {k: v for k, v in asked.headers.items() if k in ("authorization", "x-api-key", "content-type", "accept")}
        response = requests.request(
            asked.method,
            url + asked.path.removeprefix(prefix),
            headers=kept,
            data=asked.body,
            allow_redirects=False,
            timeout=60,
        )
        return Reply(response.status_code, response.content, {"Content-Type": response.headers["Content-Type"]})

    return forward
