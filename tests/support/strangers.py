"""Clients that nobody wants, on real sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from support.served import Backend

JSON = {"Content-Type": "application/json"}


def port(backend: Backend) -> int:
    return int(backend.url.rpartition(":")[2])


def head(method: str, path: str, **headers: object) -> bytes:
    """A request up to the end of its headers; `content_length=5` is `Content-Length: 5`."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in {"host": "localhost", **headers}.items()]
    return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()


def connect(backend: Backend, data: bytes = b"", *, receive_buffer: int = 0) -> socket.socket:
    """A connection that has sent so much."""
    connection = socket.socket()
    if receive_buffer:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    connection.settimeout(60)
    connection.connect(("127.0.0.1", port(backend)))
    connection.sendall(data)
    return connection


@contextmanager
def crowd(backend: Backend, number: int, data: bytes, **more: int) -> Iterator[list[socket.socket]]:
    """So many clients that have sent `data` and keep their connections open."""
    _allow_open_files(number + 200)
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connect(backend, data, **more)) for _ in range(number)]


@contextmanager
def dripping(connections: list[socket.socket]) -> Iterator[None]:
    """Every one of them sends, and takes, a byte a second."""
    ended = threading.Event()

    def drip() -> None:
        for connection in connections:
            connection.setblocking(False)
        while not ended.wait(1):
            for connection in connections:
                with contextlib.suppress(OSError):  # closed meanwhile, or nothing to take
                    connection.send(b"a")
                with contextlib.suppress(OSError):
                    connection.recv(1)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def ask(
    backend: Backend, method: str, path: str, body: object = None, **headers: str
) -> tuple[int, str, dict[str, str]]:
    """Code, reason phrase and headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port(backend), timeout=30)
    with contextlib.closing(connection):
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection.request(method, path, data, {**(JSON if body is not None else {}), **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.reason, dict(answer.getheaders())


def seconds_of_health(backend: Backend, times: int = 3) -> float:
    """The longest of so many requests of a well-behaved client."""
    longest = 0.0
    for _ in range(times):
        begun = time.monotonic()
        assert ask(backend, "GET", "/health")[0] == 200
        longest = max(longest, time.monotonic() - begun)
        time.sleep(0.2)
    return longest


def answer_to(connection: socket.socket, *, seconds: float = 10) -> bytes:
    """What comes back until the connection ends or nothing more does."""
    connection.settimeout(seconds)
    received = b""
    with contextlib.suppress(OSError):
        while chunk := connection.recv(65536):
            received += chunk
            connection.settimeout(min(0.2, seconds))
    return received


def memory(backend: Backend) -> float:
    """Resident megabytes of the web process."""
    return psutil.Process(backend.process.pid).memory_info().rss / 2**20


@contextmanager
def peak_memory(backend: Backend) -> Iterator[list[float]]:
    """A list with the most megabytes that the web process has grown by, filled at the block's end."""
    before, most, ended, found = memory(backend), [0.0], threading.Event(), list[float]()

    def watch() -> None:
        while not ended.wait(0.02):
            most[0] = max(most[0], memory(backend))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()
        found.append(most[0] - before)


def _allow_open_files(number: int) -> None:
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if now < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, most), most))
