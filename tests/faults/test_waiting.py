"""Requests that wait for the worker keep nobody else from being answered."""

from __future__ import annotations

import select
import socket
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.filled_store import CREATED, add_ranked, webhook
from support.processes import wait_until
from support.served import serve
from support.strangers import ask, connect, head, seconds_of_health

from pt4al_backend.store.store import Store

pytestmark = pytest.mark.alone

LABELLED = b'{"project": "12.%b", "tasks": [{"id": 2, "annotations": [{"id": 1}]}]}' % CREATED.encode()


def _answered(clients: list[socket.socket]) -> list[socket.socket]:
    return select.select(clients, [], [], 0)[0]


def test_many_that_wait_for_a_label(tmp_path: Path) -> None:
    """The worker is alive and takes its time."""
    url = "http://label-studio.example"
    with serve(None, data_dir=tmp_path / "data", command="web", label_studio_url=url, predict_wait=20) as backend:
        store = Store(backend.data_dir, "")
        add_ranked(store)
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(1):
                store.beat(device="cpu", busy_with="")

        store.beat(device="cpu", busy_with="")
        heart = threading.Thread(target=beat)
        heart.start()
        waiting = head("POST", "/predict", content_type="application/json", content_length=len(LABELLED)) + LABELLED
        try:
            with ExitStack() as open_ones:
                clients = [open_ones.enter_context(connect(backend, waiting)) for _ in range(40)]
                wait_until("more than may wait to be answered", lambda: len(_answered(clients)) >= 24, seconds=20)
                assert len(_answered(clients)) == 24
                assert seconds_of_health(backend) < 1
                begun = time.monotonic()
                assert ask(backend, "POST", "/webhook", webhook("ANNOTATION_CREATED"))[0] == 201
                assert ask(backend, "GET", "/api/status")[0] == 200
                assert time.monotonic() - begun < 5, "those that wait leave threads for others"
        finally:
            ended.set()
            heart.join()
            store.close()
