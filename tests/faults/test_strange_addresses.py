"""A stranger's /setup names any address: nothing that answers there is told, and some are never asked."""

from __future__ import annotations

import logging
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import Any

import pytest
from support.odd_servers import Asked, Reply, answering
from support.studio import LEGACY_TOKEN

from pt4al_backend.errors import LabelStudioError
from pt4al_backend.label_studio.client import OF_A_PROJECT, LabelStudioClient
from pt4al_backend.label_studio.project import LabelStudioProject
from pt4al_backend.net import guard
from pt4al_backend.processes.fair_lock import UnlockedPlatform
from pt4al_backend.processes.scheduler import Worker
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import UNKNOWN_AT_MOST, Store

INSIDE = "db-7.internal"
PROJECT = dict.fromkeys(OF_A_PROJECT, None)
REPLIES = [
    *(Reply.json({"detail": f"no, {INSIDE}"}, status) for status in (400, 401, 403, 404, 409, 422, 500, 503)),
    Reply.json({"validation_errors": {INSIDE: ["wrong"]}}, 400),
    Reply.json({"detail": f"{INSIDE}: legacy token or network address"}, 403),
    Reply.json({"detail": f"{INSIDE}: legacy token or network address"}, 401),
    Reply.json({"title": INSIDE, "live": INSIDE}),
    Reply.json([INSIDE]),
    Reply(200, INSIDE.encode(), {"Content-Type": "text/plain"}),
    Reply(404, f"<html>{INSIDE}</html>".encode()),
    Reply(302, headers={"Location": f"http://{INSIDE}/api/projects/1?{INSIDE}"}),
    Reply(301, headers={"Location": f"/{INSIDE}"}),
    Reply(401, b"", {"WWW-Authenticate": f'Basic realm="{INSIDE}"'}),
]


def refused(client: LabelStudioClient, path: str = "api/projects/1") -> str:
    with pytest.raises(LabelStudioError) as caught:
        client.request("GET", path)
    return str(caught.value)


@pytest.mark.parametrize("reply", REPLIES)
def test_no_answer_is_told(reply: Reply, tmp_path: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    settings, store = Settings(data_dir=tmp_path, device="cpu"), Store(tmp_path)
    with answering(lambda asked: reply) as server, closing(store):
        worker = Worker(
            settings, store, lambda project, lock: UnlockedPlatform(LabelStudioProject.of(project, settings), lock)
        )
        project = store.connect(url=server.url, number=1, created="1", access_token=LEGACY_TOKEN, label_config="")
        until = time.monotonic() + 30
        while not (error := store.projects()[0].error):
            assert time.monotonic() < until
            worker.turn()
            time.sleep(0.01)
        worker.close()
        assert server.asked
        row = vars(store.project(project.id))
    assert INSIDE not in caplog.text + repr(row), error


def test_a_label_studios_reasons_are_told_once_it_has_shown_itself() -> None:
    def answer(asked: Asked) -> Reply:
        return Reply.json(PROJECT) if asked.path == "/api/projects/1" else Reply.json({"detail": "too long"}, 400)

    with answering(answer) as server, closing(LabelStudioClient(server.url, LEGACY_TOKEN, stranger=True)) as client:
        assert "too long" not in refused(client, "api/x")
        client.request("GET", "api/projects/1")
        assert "too long" in refused(client, "api/x")


@contextmanager
def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> Iterator[list[str]]:
    """Each look-up of a name gives the next of `addresses`, the last one for good; yields those given."""
    given: list[str] = []

    real = socket.getaddrinfo

    def look_up(host: str, port: int, *more: Any, **options: Any) -> list[Any]:
        if host != "rebinding.example":
            return real(host, port, *more, **options)
        given.append(addresses[min(len(given), len(addresses) - 1)])
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (given[-1], port))]

    with monkeypatch.context() as patched:
        patched.setattr(guard.socket, "getaddrinfo", look_up)
        yield given


def on_port(url: str) -> str:
    return "http://rebinding.example:" + url.rpartition(":")[2]


def test_a_name_is_looked_up_once_and_what_was_checked_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    connected: list[str] = []
    connect = guard.httpcore.SyncBackend.connect_tcp

    def remember(self: Any, host: str, *more: Any, **options: Any) -> Any:
        connected.append(host)
        return connect(self, host, *more, **options)

    monkeypatch.setattr(guard.httpcore.SyncBackend, "connect_tcp", remember)
    with answering(lambda asked: Reply.json(PROJECT)) as server:
        with names(monkeypatch, "127.0.0.1", "169.254.169.254") as given:
            with closing(LabelStudioClient(on_port(server.url), LEGACY_TOKEN, stranger=True)) as client:
                assert client.request("GET", "api/projects/1") == PROJECT
                assert given == connected == ["127.0.0.1"]
                assert "a link-local or cloud metadata address" in refused(client)
            assert connected == ["127.0.0.1"]
        assert server.asked[0].headers["host"].startswith("rebinding.example")


def test_a_name_that_leads_elsewhere_has_to_show_itself_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(asked: Asked) -> Reply:
        return Reply.json(PROJECT) if asked.path == "/api/projects/1" else Reply.json({"detail": INSIDE}, 400)

    with (
        answering(answer) as server,
        answering(answer, host="127.0.0.2", port=int(server.url.rpartition(":")[2])) as other,
        names(monkeypatch, "127.0.0.1", "127.0.0.2"),
        closing(LabelStudioClient(on_port(server.url), LEGACY_TOKEN, stranger=True)) as client,
    ):
        client.request("GET", "api/projects/1")
        assert INSIDE not in refused(client, "api/x")
        assert len(server.asked) == len(other.asked) == 1


Serve = Callable[[socket.socket], None]


@contextmanager
def raw(serve: Serve) -> Iterator[str]:
    """A server that writes what it likes."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(65536)
            with suppress(OSError):
                serve(self.request)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with ExitStack() as stack:
        server = stack.enter_context(Server(("127.0.0.1", 0), Handler))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        stack.callback(server.shutdown)
        yield f"http://127.0.0.1:{server.server_address[1]}"


def drip_head(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def drip_body(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


def flood(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def bomb(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxxx")


@pytest.mark.parametrize("serve", [drip_head, drip_body, flood, bomb])
def test_answers_are_bounded(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "LARGEST_ANSWER", 2**21)
    monkeypatch.setattr(guard, "FIRST_ANSWER", 2**20)
    with raw(serve) as url, closing(LabelStudioClient(url, LEGACY_TOKEN, stranger=True)) as client:
        began = time.monotonic()
        with pytest.raises(LabelStudioError):
            client.request("GET", "api/projects/1", seconds=1.0)
        assert time.monotonic() - began < 10


def test_a_label_studio_may_send_more_than_who_has_not_shown_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "FIRST_ANSWER", 2**16)

    def answer(asked: Asked) -> Reply:
        return Reply.json(PROJECT if asked.path == "/api/projects/1" else ["x" * 2**17])

    with answering(answer) as server, closing(LabelStudioClient(server.url, LEGACY_TOKEN, stranger=True)) as client:
        refused(client, "api/tasks")
        client.request("GET", "api/projects/1")
        assert client.request("GET", "api/tasks")


def test_no_proxy_of_the_environment_is_told_where_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(lambda asked: Reply.json(PROJECT)) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        with closing(LabelStudioClient("http://nowhere.invalid", LEGACY_TOKEN, stranger=True)) as client:
            assert "cannot be reached" in refused(client)
        assert not proxy.asked


def test_unknown_projects_are_bounded_and_nobody_is_locked_out(tmp_path: Any) -> None:
    with closing(Store(tmp_path)) as store:

        def connect(number: int) -> int:
            return store.connect(
                url="http://stranger", number=number, created="1", access_token="x", label_config=""
            ).id

        known = connect(1)
        store.update(known, title="flowers")
        listed = connect(2)
        store.update(listed, cursor="2026-11-29T00:00:00Z")
        ids = [connect(number) for number in range(10, 10 + UNKNOWN_AT_MOST)]
        assert len(store.projects()) == UNKNOWN_AT_MOST + 2
        connect(10)  # woken again
        new = [connect(number) for number in range(1000, 1010)]
        left = {project.id for project in store.projects()}
        assert left == {known, listed, ids[0], *ids[11:], *new}


def test_the_settings_own_label_studio_is_no_stranger() -> None:
    settings = Settings(label_studio_url="http://ours", label_studio_api_key="k" * 40)
    with closing(LabelStudioClient.of("http://ours", "", settings)) as ours:
        assert ours._known is None
    with closing(LabelStudioClient.of("http://theirs", "t" * 40, settings)) as theirs:
        assert theirs._known == set() and theirs.credentials() == {"Authorization": f"Token {'t' * 40}"}
