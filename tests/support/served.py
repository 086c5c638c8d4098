"""A real pt4al-backend for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from support.processes import free_port, running, stop_group, wait_ready
from support.studio import Studio

ROOT = Path(__file__).parents[2]
NOT_INHERITED = ("PT4AL_", "LABEL_STUDIO_", "MODEL_DIR", "BASIC_AUTH_", "PORT")


@dataclass(frozen=True)
class Backend:
    """A running `pt4al-backend`: where it answers, where it keeps its state, what it says."""

    url: str
    data_dir: Path
    log: Path
    process: subprocess.Popen[bytes]

    def status(self) -> dict[str, Any]:
        """What `/api/status` says."""
        response = requests.get(f"{self.url}/api/status", timeout=30)
        response.raise_for_status()
        return dict(response.json())

    def project(self, project: int) -> dict[str, Any] | None:
        """What `/api/status` says of one project, None while it is unknown."""
        return next((entry for entry in self.status()["projects"] if entry["project"] == project), None)

    def worker(self) -> psutil.Process | None:
        """The worker process, to look at or to kill; None while there is none."""
        for process in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):  # it may end while it is looked at
                if "worker" in process.cmdline():
                    return process
        return None

    def stop(self) -> None:
        """Stop it as `docker stop` would; the data directory stays."""
        stop_group(self.process)


@contextmanager
def serve(
    studio: Studio | None,
    *,
    data_dir: Path,
    command: str = "start",
    token: str | None = None,
    environment: Mapping[str, str] | None = None,
    **settings: object,
) -> Iterator[Backend]:
    """Run `pt4al-backend <command>` on a free port until the block ends.

    `studio` and `token` (its legacy token by default) become LABEL_STUDIO_URL and
    LABEL_STUDIO_API_KEY; every keyword becomes PT4AL_<KEYWORD>.
    """
    port = free_port()
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir.with_name(data_dir.name + ".log")
    variables = _variables(settings | {"host": "127.0.0.1", "data_dir": data_dir}) | dict(environment or {})
    if studio is not None:
        variables |= {"LABEL_STUDIO_URL": studio.url, "LABEL_STUDIO_API_KEY": token or studio.token}
    program = [sys.executable, "-m", "pt4al_backend.cli", command, "--port", str(port)]
    with running(program, environment=variables, log=log, cwd=ROOT) as process:
        url = f"http://127.0.0.1:{port}"
        wait_ready(process, lambda: _healthy(url), log=log, seconds=120)
        yield Backend(url, data_dir, log, process)


def _variables(settings: Mapping[str, object]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return inherited | {f"PT4AL_{name.upper()}": str(value) for name, value in settings.items()}


def _healthy(url: str) -> bool:
    try:
        return requests.get(f"{url}/health", timeout=2).ok
    except requests.RequestException:
        return False


def load_model() -> type:
    """The model class. Importing it imports label-studio-ml."""
    from pt4al_backend.model import PT4ALBackend

    return PT4ALBackend
