"""A stranger's /setup names addresses that never answer: nobody else waits for them."""

import socket
import time
from contextlib import ExitStack, contextmanager

import pytest
from support.known_labels import KnownLabels

from pt4al_backend.label_studio.project import LabelStudioProject
from pt4al_backend.processes.fair_lock import UnlockedPlatform
from pt4al_backend.processes.scheduler import Worker
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

HEALTHY = "http://healthy"
LONGEST = 60.0  # seconds that a turn may take on a busy machine; three in a row took two minutes


@contextmanager
def silence():
    """An address that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@pytest.mark.parametrize("strangers", [3, 100])
def test_addresses_that_never_answer_hold_up_nobody(tmp_path, strangers):
    settings = Settings(
        data_dir=tmp_path, encoder="rotation", cycles=3, query_size=3, slack=3, pretext_epochs=1, device="cpu"
    )
    platform, store = KnownLabels(30), Store(tmp_path)

    def platform_for(project, lock):
        if project.label_studio_url == HEALTHY:
            return UnlockedPlatform(platform, lock)
        with lock.released():
            return UnlockedPlatform(LabelStudioProject.of(project, settings), lock)

    with ExitStack() as stack:
        url = stack.enter_context(silence())
        worker = Worker(settings, store, platform_for)
        stack.callback(store.close)
        stack.callback(worker.close)
        for number in range(strangers):
            store.connect(url=url, number=number, created="1", access_token="a" * 40, label_config="")
        healthy = store.connect(url=HEALTHY, number=1, created="1", access_token="", label_config="")
        longest, until = 0.0, time.monotonic() + 240
        while not platform.published:
            began = time.monotonic()
            assert began < until
            worker.turn()
            longest = max(longest, time.monotonic() - began)
        platform.label(platform.queue[0])
        store.wake([healthy.id])
        while "-n1-" not in platform.published[-1].version:
            assert time.monotonic() < until
            worker.turn()
        assert longest < LONGEST
