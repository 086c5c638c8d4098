from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests
from support.processes import free_port, wait_until
from support.served import Backend

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes import heartbeat, supervisor
from pt4al_backend.settings import Settings, load_settings

StartBackend = Callable[..., Backend]


def _child(backend: Backend, name: str) -> psutil.Process | None:
    for process in psutil.Process(backend.process.pid).children():
        with contextlib.suppress(psutil.ZombieProcess):
            if name in process.cmdline():
                return process
    return None


def _healthy(backend: Backend) -> bool:
    try:
        return requests.get(f"{backend.url}/health", timeout=1).ok
    except requests.RequestException:
        return False


def _alive(backend: Backend) -> bool:
    return _healthy(backend) and backend.status()["worker"]["alive"]


def test_restarts_what_ends_and_ends_cleanly(start_backend: StartBackend) -> None:
    backend = start_backend(None)
    worker = backend.status()["worker"]
    assert worker["alive"] or worker["starting"]
    wait_until("the worker to live", lambda: _alive(backend), seconds=120)

    for name in ("worker", "web"):
        before = _child(backend, name)
        assert before is not None
        before.kill()
        after = wait_until(
            f"a new {name} process",
            lambda name=name, before=before: one if (one := _child(backend, name)) and one != before else None,
            seconds=5,
        )
        assert after.pid != before.pid
    wait_until("the new web process to answer", lambda: _healthy(backend), seconds=120)
    assert "The worker process ended (signal SIGKILL); restarting it at once." in backend.log.read_text()

    family = psutil.Process(backend.process.pid).children(recursive=True)
    backend.process.send_signal(signal.SIGTERM)
    assert backend.process.wait(15) == 0
    assert not psutil.wait_procs(family, timeout=1)[1]
    assert "Traceback" not in backend.log.read_text()


def test_a_killed_supervisor_leaves_no_process_behind(start_backend: StartBackend) -> None:
    backend = start_backend(None)
    wait_until("the worker to live", lambda: _alive(backend), seconds=120)
    family = psutil.Process(backend.process.pid).children(recursive=True)
    assert len(family) >= 2  # web and worker
    backend.process.kill()
    assert not psutil.wait_procs(family, timeout=120)[1]  # at low priority, which takes long on a busy machine


def test_a_port_in_use_is_reported_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(host="127.0.0.1", port=taken.getsockname()[1], data_dir=tmp_path)
        with pytest.raises(PT4ALError, match=r"Port \d+ on 127.0.0.1 is in use\. .* --port"):
            supervisor.start(settings)


def test_a_second_backend_on_one_data_directory_is_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "ENDING", 0.3)
    settings = Settings(host="127.0.0.1", port=free_port(), data_dir=tmp_path)
    with heartbeat.only_worker(tmp_path), pytest.raises(PT4ALError, match="Another worker already runs"):
        supervisor.start(settings)


def test_restarts_wait_longer_and_longer() -> None:
    assert [supervisor.restart_delay(exits) for exits in range(1, 9)] == [0, 1, 2, 4, 8, 16, 30, 30]


def test_children_get_the_same_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        data_dir=tmp_path, label_studio_url="http://x.example/ls", label_studio_api_key="key", preannotate=False
    )
    for name, value in supervisor.environment(settings).items():
        monkeypatch.setitem(os.environ, name, value)
    assert load_settings() == settings


@pytest.mark.parametrize(
    ("host", "user", "address", "warns"),
    [
        ("0.0.0.0", "", "http://localhost:9090", True),
        ("0.0.0.0", "me", "http://localhost:9090", False),
        ("127.0.0.1", "", "http://127.0.0.1:9090", False),
        ("::1", "", "http://[::1]:9090", False),
    ],
)
def test_announces_what_to_paste(host: str, user: str, address: str, warns: bool) -> None:
    line = supervisor.announcement(Settings(host=host, basic_auth_user=user, port=9090))
    assert f"Connect Model > {address} " in line
    assert f"{address}/dashboard" in line
    assert ("Without a password" in line) == warns
    assert "\n" not in line
