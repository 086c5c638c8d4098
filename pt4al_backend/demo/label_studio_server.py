"""A Label Studio of the demo's own: its executable, its process, its user."""

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
FIRST_START = 900.0  # seconds it may take: the first one sets up the database (fact 38)
COMPLETE = "set-up-complete"  # marks a data directory whose first start was not cut short

Waiting = Callable[[], None]
"""Called between two looks; may raise, e.g. because a process has died."""


@dataclass(frozen=True)
class LabelStudio:
    """A running Label Studio."""

    url: str
    token: str
    child: Child
    data: Path
    log: Path


def find_executable() -> str:
    """`PT4AL_LABEL_STUDIO`, else the checkout's `.venv-label-studio`, else what is on the PATH."""
    chosen = os.environ.get("PT4AL_LABEL_STUDIO")
    if chosen:
        if shutil.which(chosen) is None:
            raise PT4ALError(f"PT4AL_LABEL_STUDIO is {chosen}, which is no program that can be run.")
        return chosen
    beside = Path(__file__).parents[2] / ".venv-label-studio" / "bin" / "label-studio"
    found = shutil.which(beside) or shutil.which("label-studio")
    if found is None:
        raise PT4ALError(
            "Label Studio is not installed here. `make demo` in a checkout sets it up; "
            "or install label-studio in an environment of its own and set PT4AL_LABEL_STUDIO to its executable."
        )
    return found


def launch(directory: Path, *, host: str, port: int, document_root: Path, token: str) -> LabelStudio:
    """Start Label Studio with its state in `directory`; a half-made directory is made anew.

    `token` is the user's legacy token. It only counts at the first start in a directory.
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
    """Return when the server answers and knows its user. `PT4ALError` if that does not come to pass."""
    deadline = time.monotonic() + FIRST_START
    with client(server) as api:
        while not _answers(api):
            waiting()
            if time.monotonic() > deadline:
                raise PT4ALError(f"Label Studio did not start within {FIRST_START:.0f} s. Its log is {server.log}.")
            time.sleep(0.2)
        answer = api.get("/api/current-user/whoami")
    if answer.status_code != 200:
        raise PT4ALError(
            f"The demo's Label Studio does not know its user ({answer.status_code}). "
            f"Delete {server.data} and start the demo again; its labels are lost then."
        )
    (server.data / COMPLETE).touch()


def client(server: LabelStudio) -> httpx.Client:
    """The server's API as the demo's user. Proxies are for the internet, not for this machine."""
    return httpx.Client(
        base_url=server.url, headers={"Authorization": f"Token {server.token}"}, timeout=60, trust_env=False
    )


def _answers(api: httpx.Client) -> bool:
    try:
        return api.get("/health", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _environment(document_root: Path, token: str) -> dict[str, str]:
    """This process's environment without what would configure Label Studio in unexpected ways."""
    mine = {name: value for name, value in os.environ.items() if name not in _MEANT_FOR_OTHERS}
    mine = {name: value for name, value in mine.items() if not name.startswith(("LABEL_STUDIO_", "DJANGO_", "PT4AL_"))}
    return without_proxy(mine) | {
        "LABEL_STUDIO_USERNAME": USER,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": token,  # not on the command line, where every user of this machine could read it
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root),
        "ML_BLOCK_LOCAL_IP": "false",  # facts 16 and 17: backend and webhooks are on this machine
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "PYTHONUNBUFFERED": "1",
    }


def without_proxy(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment`, where requests to this machine go past any proxy."""
    local = "localhost,127.0.0.1"
    names = ("NO_PROXY", "no_proxy")
    return {**environment, **{name: ",".join(filter(None, (environment.get(name), local))) for name in names}}


_MEANT_FOR_OTHERS = frozenset({"HOST", "PORT", "USERNAME", "PASSWORD", "DATABASE_NAME", "PYTHONPATH", "PYTHONHOME"})
