"""Servers that images are fetched from, and fetchers for them; two servers on two ports are two origins."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pt4al_backend.errors import UnreadableImageError
from pt4al_backend.label_studio.image_fetcher import FetchLimits, ImageFetcher

IMAGE = b"\x89PNG not really, but bytes are bytes"


TOKEN = "Token s3cret"


Answer = Callable[["Handler"], None]


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    wbufsize = 0

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers.get("Authorization")))
        try:
            self.server.answer(self)
        except ConnectionError:
            self.close_connection = True  # the fetcher had seen enough

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content_Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer = answer
        self.seen: list[tuple[str, str | None]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@dataclass
class Net:
    """The servers and fetchers of one test, closed at its end."""

    servers: list[Server] = field(default_factory=list)
    fetchers: list[ImageFetcher] = field(default_factory=list)

    def serve(self, answer: Answer) -> Server:
        server = Server(answer)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        self.servers.append(server)
        return server

    def fetcher(self, url: str, *, token: str | None = TOKEN, **limits: object) -> ImageFetcher:
        fetcher = ImageFetcher(
            label_studio_url=url,
            credentials=lambda: {"Authorization": token} if token else {},
            limits=FetchLimits(**{"seconds": 5.0, **limits}),
        )
        self.fetchers.append(fetcher)
        return fetcher

    def close(self) -> None:
        for fetcher in self.fetchers:
            fetcher.close()
        for server in self.servers:
            server.shutdown()
            server.server_close()


def image(handler: Handler) -> None:
    handler.reply(200, IMAGE)


def redirect(location: str) -> Answer:
    return lambda handler: handler.reply(303, Location=location)


def reason(fetcher: ImageFetcher, value: object) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        fetcher.fetch(value, task_id=7)
    return str(caught.value)
