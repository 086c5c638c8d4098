"""The demo's own Label Studio: its executable, its process, its user."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes.child import Child, guarded

USER = "demo@example.com"
PASSWORD = "pt4al-demo"
FIRST_START = 900.0  # seconds that a start may take: the first one sets up the database (fact 38)
COMPLETE = "set-up-complete"  # marks a data directory whose first start ran to its end

Waiting = Callable[[], None]
"""Called again and again while waiting. It may raise, for example because a process has ended."""


@dataclass(frozen=True)
class LabelStudio:
    """A running Label Studio."""

    url: str
    token: str
    child: Child
    data: Path
    log: Path


def find_executable() -> str:
    """The program in `PT4AL_LABEL_STUDIO`, else in the checkout's `.venv-label-studio`, else on the PATH."""
    chosen = os.environ.get("PT4AL_LABEL_STUDIO")
    if chosen:
        if shutil.which(chosen) is None:
            raise PT4ALError(f"PT4AL_LABEL_STUDIO is {chosen}, which is not an executable program: correct the path.")
        return chosen
    in_checkout = Path(__file__).parents[2] / ".venv-label-studio" / "bin" / "label-studio"
    executable = shutil.which(in_checkout) or shutil.which("label-studio")
    if executable is None:
        raise PT4ALError(
            "Label Studio is not installed here. In a checkout, run `make demo`, which installs it. Elsewhere, install "
            "label-studio in its own environment and set PT4AL_LABEL_STUDIO to its executable."
        )
    return executable


def launch(directory: Path, *, host: str, port: int, document_root: Path, token: str) -> LabelStudio:
    """Start Label Studio with its state in `directory`. State from an incomplete first start is deleted.

    Args:
        token: The user's legacy token. It counts only at the first start in a directory.
    """
    data = directory / "label-studio"
    if not (data / COMPLETE).exists():
        shutil.rmtree(data, ignore_errors=True)
    data.mkdir(parents=True, exist_ok=True)
    command = [find_executable(), "start", "--no-browser", "--data-dir", str(data)]
    command += ["--internal-host", host, "--port", str(port), "--enable-legacy-api-token"]
    log = directory / "label-studio.log"
    log.unlink(missing_ok=True)
    child = Child(guarded(command), environment=_environment(document_root, token), log=log)
    return LabelStudio(f"http://localhost:{port}", token, child, data, log)


def wait_until_up(server: LabelStudio, waiting: Waiting) -> None:
    """Wait until the server answers and knows its user.

    Raises:
        PT4ALError: It does not start in time, or does not know its user.
    """
    deadline = time.monotonic() + FIRST_START
    with client(server) as api:
        while not _answers(api):
            waiting()
            if time.monotonic() > deadline:
                raise PT4ALError(f"Label Studio did not start within {FIRST_START:.0f} s: see its log, {server.log}.")
            time.sleep(0.2)
        response = api.get("/api/current-user/whoami")
    if response.status_code != 200:
        raise PT4ALError(
            f"The demo's Label Studio does not know its user ({response.status_code}). "
            f"Delete {server.data}, with all labels in it, and start the demo again."
        )
    (server.data / COMPLETE).touch()


def client(server: LabelStudio) -> httpx.Client:
    """The server's API as the demo's user. It uses no proxy: the server is on this machine."""
    return httpx.Client(
        base_url=server.url, headers={"Authorization": f"Token {server.token}"}, timeout=60, trust_env=False
    )


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _environment(document_root: Path, token: str) -> dict[str, str]:
    """This process's environment, without variables that would configure Label Studio by accident."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in _FOR_OTHER_PROGRAMS and not name.startswith(("LABEL_STUDIO_", "DJANGO_", "PT4AL_"))
    }
    return without_proxy(inherited) | {
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": token,  # not on the command line, which every user of this machine can read
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root),
        "ML_BLOCK_LOCAL_IP": "false",  # facts 16 and 17: the backend is on this machine
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "PYTHONUNBUFFERED": "1",
    }


def without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment`, changed so that requests to this machine use no proxy."""
    local = "localhost,127.0.0.1"
    names = ("NO_PROXY", "no_proxy")
    return {**environment, **{name: ",".join(filter(None, (environment.get(name), local))) for name in names}}


_FOR_OTHER_PROGRAMS = frozenset({"HOST", "PORT", "USERNAME", "PASSWORD", "DATABASE_NAME", "PYTHONPATH", "PYTHONHOME"})
