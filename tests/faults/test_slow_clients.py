"""Clients that leave, send or read slowly keep nobody else waiting, and not for ever."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.processes import free_port, running, wait_ready, wait_until
from support.served import ROOT, Backend, _healthy, _variables
from support.strangers import ask, connect, crowd, dripping, head, seconds_of_health

pytestmark = pytest.mark.alone

LABEL_STUDIOS_PATIENCE = 1.0  # seconds, for /health


def predict(tasks: int) -> bytes:
    """A whole request for so many tasks, each with some 70 bytes of answer."""
    body = b'{"project": "1.1", "tasks": [%b]}' % b",".join(b'{"id":%d}' % task for task in range(tasks))
    return head("POST", "/predict", content_type="application/json", content_length=len(body)) + body


def test_clients_that_do_not_close(web: Backend) -> None:
    with crowd(web, 500, head("GET", "/health", connection="close")) as clients:
        assert all(client.recv(12) == b"HTTP/1.1 200" for client in clients)
        assert seconds_of_health(web) < LABEL_STUDIOS_PATIENCE


@pytest.mark.parametrize(
    "begin",
    [
        b"G",
        b"GET /health HTTP/1.1\r\nX: ",
        head("POST", "/predict", content_type="application/json", content_length=5000),
        head("POST", "/nothing", content_type="text/plain", content_length=5000),
        head("GET", "/health"),
    ],
    ids=["first line", "headers", "body", "refused body", "second request"],
)
def test_slow_senders(web: Backend, begin: bytes) -> None:
    with crowd(web, 200, begin) as clients, dripping(clients):
        time.sleep(1.5)
        assert seconds_of_health(web) < LABEL_STUDIOS_PATIENCE


def test_slow_readers(web: Backend) -> None:
    """More than there are threads; the largest answers are more than the kernel holds for their readers."""
    large, small = predict(20_000), predict(500)
    with crowd(web, 4, large, receive_buffer=4096) as few, crowd(web, 40, small, receive_buffer=4096) as many:
        assert all(client.recv(12) == b"HTTP/1.1 200" for client in [*few, *many])
        with dripping([*few, *many]):
            assert seconds_of_health(web) < LABEL_STUDIOS_PATIENCE
            assert ask(web, "POST", "/predict", {"project": "1.1", "tasks": [{"id": 1}]})[0] == 200


def test_more_clients_than_there_may_be(web: Backend) -> None:
    """The slowest make room."""
    with crowd(web, 1100, b"GET / HTTP/1.1\r\n") as clients:
        assert clients[0].recv(1) == b"", "the first to come is the first to go"
        assert seconds_of_health(web) < LABEL_STUDIOS_PATIENCE


def test_nobody_stays_for_ever(tmp_path: Path) -> None:
    """A real server of little patience: what takes 10, 20 and 30 seconds takes 0.7, 6 and 12."""
    impatient = (
        "from pt4al_backend import cli; from pt4al_backend.processes import web_server; "
        "web_server.HEADER_SECONDS, web_server.BODY_SECONDS, web_server.SEND_SECONDS = 0.7, 6.0, 12.0; cli.main()"
    )
    port, log = free_port(), tmp_path / "log"
    variables = _variables({"host": "127.0.0.1", "data_dir": tmp_path / "data"})
    command = [sys.executable, "-c", impatient, "web", "--port", str(port)]
    with running(command, environment=variables, log=log, cwd=ROOT) as process:
        backend = Backend(f"http://127.0.0.1:{port}", tmp_path, log, process)
        wait_ready(process, lambda: _healthy(backend.url), log=log, seconds=60)
        body = head("POST", "/predict", content_type="application/json", content_length=5000)
        for begin in (b"", b"GET /health HTTP/1.1\r\nX: ", body, head("GET", "/health")):
            with connect(backend, begin) as client, dripping([client]):
                assert _is_closed_within(client, 30), begin
        padded = b'{"project": "1.1", "tasks": []%b}' % (b" " * 100_000)  # large, and answered in no time
        with ExitStack() as stack:

            def all_places_are_taken() -> bool:
                """One more client asks for much and takes nothing: a question asked in between had a place, too."""
                stack.enter_context(connect(backend, predict(50_000), receive_buffer=4096))
                return _answer_to(backend, padded) == 503

            wait_until("all places to be taken", all_places_are_taken, seconds=60, every=0.02)
            wait_until("a free one", lambda: _answer_to(backend, padded) == 200, seconds=60, every=0.02)


def _answer_to(backend: Backend, body: bytes) -> int:
    return ask(backend, "POST", "/predict", body)[0]


def _is_closed_within(client: socket.socket, seconds: float) -> bool:
    """Also of a client that goes on sending."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if client.recv(65536) == b"":
                return True
        except BlockingIOError:
            time.sleep(0.05)
        except OSError:
            return True
    return False


def test_ends_in_time_whoever_is_there(start_backend: Callable[..., Backend]) -> None:
    backend = start_backend(None, command="web")
    with crowd(backend, 50, b"GET / HTTP/1.1\r\n") as clients, dripping(clients):
        begun = time.monotonic()
        backend.process.terminate()
        try:
            assert backend.process.wait(10) == 0
        except subprocess.TimeoutExpired:
            pytest.fail("it still runs")
        assert time.monotonic() - begun < 8
