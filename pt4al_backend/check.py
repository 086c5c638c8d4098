"""Try every connection, and say how to mend what fails."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass

import httpx

from pt4al_backend.errors import LabelStudioError, PT4ALError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.probe import Finding, probe_project, tried
from pt4al_backend.label_studio.project import token_for
from pt4al_backend.settings import Settings
from pt4al_backend.status import is_alive, without_userinfo
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

Targets = dict[tuple[str, str], list[int]]
"""(URL, token) of a Label Studio -> numbers of its projects to look at."""

EVERYWHERE = ("0.0.0.0", "::", "")
FIND_DEVICE = """\
import sys
from pt4al_backend import learning
try:
    print(learning.describe_device(learning.resolve_device(sys.argv[1])))
except learning.LearningError as error:
    sys.exit(str(error))
"""


def run_checks(settings: Settings, *, project: int | None) -> list[Finding]:
    """Check this machine, Label Studio, and ``project`` or else all projects that were connected."""
    return list(_findings(settings, project))


def _findings(settings: Settings, project: int | None) -> Iterator[Finding]:
    server = _our_server(settings)
    targets = _targets(settings, project, [])
    if server and not Store.exists(settings.data_dir, settings.database_url):
        yield Finding("data directory", None, f"Nothing has run in {settings.data_dir}. {_elsewhere(settings)}")
    else:
        try:
            store = Store(settings.data_dir, settings.database_url)
        except PT4ALError as error:
            yield Finding("data directory", False, str(error))
        else:
            with closing(store):
                yield Finding("data directory", True, f"{settings.data_dir} can be written.")
                yield _worker(settings, store, server)
                targets = _targets(settings, project, store.projects())
    yield _port(settings, served=server is not None)
    yield _device(settings.device)
    yield from _label_studios(settings, targets)


def _targets(settings: Settings, project: int | None, rows: Sequence[Project]) -> Targets:
    targets: Targets = {}
    url = settings.label_studio_url
    if url:
        targets[url, settings.label_studio_api_key.get_secret_value()] = []
    for row in rows:
        if project in (None, row.number):
            token = token_for(row.label_studio_url, row.access_token, settings)
            targets.setdefault((row.label_studio_url, token), []).append(row.number)
    if url and project is not None and not any(targets.values()):
        targets[url, settings.label_studio_api_key.get_secret_value()].append(project)
    return targets


# This machine


def _port(settings: Settings, *, served: bool) -> Finding:
    name = f"port {settings.port}"
    if served:
        return Finding(name, True, "The web server of pt4al-backend answers there.")
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            return Finding(name, False, _why_no_port(settings, error))
    return Finding(name, True, "It is free for the web server.")


def _why_no_port(settings: Settings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "Another program listens there: stop it, or set PT4AL_PORT to a free port."
    if error.errno == errno.EACCES:
        return "This user may not listen there: set PT4AL_PORT to a number above 1023."
    return f"Nobody can listen on {settings.host} here: mend PT4AL_HOST."


@dataclass(frozen=True)
class Server:
    """The web process of ours that listens on the port."""

    has_worker: bool | None
    """None: it asks for a password that is not in the settings."""


def _our_server(settings: Settings) -> Server | None:
    """What listens on the port, if it asks for our password or has our status."""
    auth = (settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())
    try:
        with httpx.Client(trust_env=False, timeout=5.0) as client:
            answer = client.get(f"{_own_url(settings)}/api/status", auth=auth if auth[0] else None)
            if answer.status_code == 401:
                return Server(None) if "pt4al-backend" in answer.headers.get("www-authenticate", "") else None
            report = answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError):
        return None
    worker = report.get("worker") if isinstance(report, dict) else None
    return Server(bool(worker.get("alive"))) if isinstance(worker, dict) else None


def _elsewhere(settings: Settings) -> str:
    return (
        f"The backend on port {settings.port} works elsewhere: run this where it is, or say its data directory "
        "with --data-dir or PT4AL_DATA_DIR."
    )


def _own_url(settings: Settings) -> str:
    host = "localhost" if settings.host in EVERYWHERE else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _worker(settings: Settings, store: Store, server: Server | None) -> Finding:
    if is_alive(store.worker()):
        return Finding("worker", True, "It runs.")
    start = "start it with `pt4al-backend start` or `pt4al-backend worker`."
    if server and server.has_worker is None:
        mend = "say it with BASIC_AUTH_USER and BASIC_AUTH_PASS."
        return Finding("worker", None, f"None runs in {settings.data_dir}. The backend asks for its password: {mend}")
    if server and server.has_worker:
        return Finding("worker", False, f"None runs in {settings.data_dir}. {_elsewhere(settings)}")
    if server:
        return Finding("worker", False, f"The web server runs without it, so nothing is learnt: {start}")
    return Finding("worker", None, f"It does not run now: {start}")


def _device(name: str) -> Finding:
    # In another process: torch takes half a gigabyte, and a broken GPU driver may take its process along.
    command = [sys.executable, "-c", FIND_DEVICE, name]
    try:
        found = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    except subprocess.TimeoutExpired:
        return Finding("device", False, "PyTorch does not start within two minutes: set PT4AL_DEVICE to cpu.")
    if found.returncode == 0:
        return Finding("device", True, f"Trains on {found.stdout.strip()}.")
    lines = found.stderr.strip().splitlines() or [f"PyTorch ended with code {found.returncode}"]
    return Finding("device", False, f"{lines[-1]} The setting is PT4AL_DEVICE.")


# Label Studio


def _label_studios(settings: Settings, targets: Targets) -> Iterator[Finding]:
    if settings.label_studio_api_key.get_secret_value() and not settings.label_studio_url:
        yield Finding("token", False, "LABEL_STUDIO_API_KEY is sent nowhere without LABEL_STUDIO_URL: set both.")
    if not targets:
        mend = "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or connect a project."
        yield Finding("Label Studio", None, f"None is known yet: {mend}")
    elif not any(targets.values()):
        yield Finding("projects", None, "None is connected: give --project and its number to look at one.")
    for (url, token), numbers in targets.items():
        yield from _label_studio(url, token, numbers, settings)


def _label_studio(url: str, token: str, numbers: Sequence[int], settings: Settings) -> Iterator[Finding]:
    name = f"Label Studio {without_userinfo(url)}"
    try:
        client = LabelStudioClient(url, token)
    except PT4ALError as error:
        yield Finding(name, False, str(error))
        return
    with closing(client):
        login = tried(name, lambda: f"The token is that of {_user(client)}.")
        yield login
        for number in numbers if login.ok else ():
            yield from probe_project(client, number, settings, own_url=_own_url(settings))


def _user(client: LabelStudioClient) -> str:
    answer = client.request("GET", "api/current-user/whoami")
    if not isinstance(answer, dict) or "email" not in answer:
        raise LabelStudioError(f"What answers at {client.url} is no Label Studio: mend LABEL_STUDIO_URL.")
    return str(answer["email"])
