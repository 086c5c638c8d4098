from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from support.processes import running, tail, wait_until
from support.served import NOT_INHERITED

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes import worker
from pt4al_backend.processes.fair_lock import FairLock, UnlockedPlatform
from pt4al_backend.processes.priority import NICENESS
from pt4al_backend.reports.running_backend import find_backend
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

COMMAND = [sys.executable, "-m", "pt4al_backend.cli", "worker", "--device", "cpu"]


def environment(data_dir: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return inherited | {"PT4AL_DATA_DIR": str(data_dir), "PT4AL_ENCODER": "rotation"}  # nothing is prepared for it


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that has begun to take turns."""
    log = tmp_path / "worker.log"
    data_dir = tmp_path / "data"
    data_dir.mkdir()
    with running(COMMAND, environment=environment(data_dir), log=log, cwd=tmp_path) as process:
        wait_until(f"the worker to start: {tail(log)}", lambda: "The worker runs on" in log.read_text(), seconds=120)
        yield process


def test_one_worker_runs_at_low_priority_until_it_is_told_to_end(
    process: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    assert psutil.Process(process.pid).nice() == min(os.nice(0) + NICENESS, 19)
    backend = find_backend(Settings(data_dir=data_dir))
    assert backend.alive and backend.settings.device == "cpu"
    with closing(Store(data_dir)) as store:
        row = wait_until("a heartbeat", store.worker, seconds=20)
        assert row.device.startswith("CPU") and time.time() - row.heartbeat_at < 60

        second = subprocess.run(COMMAND, env=environment(data_dir), capture_output=True, text=True, timeout=120)
        assert second.returncode == 1 and "Another worker already runs" in second.stderr

        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    assert not find_backend(Settings(data_dir=data_dir)).alive
    assert "Traceback" not in (tmp_path / "worker.log").read_text()


def test_a_worker_that_prepares_for_its_first_project_ends_when_it_is_told_to(tmp_path: Path) -> None:
    log, data_dir = tmp_path / "worker.log", tmp_path / "data"
    data_dir.mkdir()
    settings = environment(data_dir) | {"PT4AL_ENCODER": "auto"}
    with running(COMMAND, environment=settings, log=log, cwd=tmp_path) as process:
        wait_until(f"the worker to start: {tail(log)}", lambda: "The worker runs on" in log.read_text(), seconds=120)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0
    assert "Traceback" not in log.read_text()


def test_platforms_let_other_projects_work_while_they_wait(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, label_studio_url="http://ls.example", label_studio_api_key="")
    platform_for, lock = worker._label_studio_projects(settings), FairLock()
    with closing(Store(tmp_path)) as store, lock.held():
        with_token = store.connect(
            url="http://ls.example", number=1, created="1", access_token="a" * 40, label_config=""
        )
        assert isinstance(platform_for(with_token, lock), UnlockedPlatform)
        without = store.connect(url="http://ls.example", number=2, created="1", access_token="", label_config="")
        with pytest.raises(PT4ALError, match="no token"):
            platform_for(without, lock)
        assert lock._is_held_here()
