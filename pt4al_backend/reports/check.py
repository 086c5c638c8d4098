"""`pt4al-backend check`: tests every connection and says how to fix what fails, within a few seconds.

Beside a worker that trains it may take a quarter of a minute. Slow checks, the device and the projects, run at the same
time; one that takes too long is reported as such.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import httpx

from pt4al_backend import encoder_catalogue
from pt4al_backend.errors import LabelStudioError, PT4ALError
from pt4al_backend.label_studio.check_project import Finding, probe_project, tried
from pt4al_backend.label_studio.client import LabelStudioClient, token_for
from pt4al_backend.net.addresses import address, port_is_free, without_userinfo
from pt4al_backend.reports.running_backend import BELONGS_TO, Backend, find_backend
from pt4al_backend.reports.status import health, is_alive
from pt4al_backend.settings import Settings, variables
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

Connections = dict[tuple[str, str], list[int]]
"""URL and token of each Label Studio, with the numbers of its projects to check."""

SECONDS = 3.8  # for everything, from the start of the process …
LEAST = 2.5  # … or at least for the checks, if the process took long to start …
WHILE_BUSY = 12.0  # … and so much more beside a worker that trains
AT_A_TIME = 4  # projects of a Label Studio
FIND_DEVICE = """\
import sys
from pt4al_backend import errors, learning
try:
    print(learning.describe_device(learning.resolve_device(sys.argv[1])))
except errors.PT4ALError as error:
    sys.exit(str(error))
"""


def run_checks(settings: Settings, *, project: int | None, started: float | None = None) -> Iterator[Finding]:
    """Check this machine, Label Studio, and a project.

    The backend of the data directory is checked with its own settings; if there is none, with `settings`.

    Args:
        settings: Those of this process.
        project: Number of the project; None for all projects that were connected.
        started: When this process started, by the monotonic clock; None for now.
    """
    now = time.monotonic()
    deadline = max((now if started is None else started) + SECONDS, now + LEAST)
    backend = find_backend(settings)
    yield from _differences(backend, settings)
    unknown = backend.running.missing if backend.running else ()
    reason = (
        "The backend has one that is not known here" if backend.alive else "Not known here: it was given to `start`"
    )
    for name in unknown:
        yield Finding(variables(name)[-1], None, f"{reason}; {_advice(name)}.")
    yield from _findings(backend.settings, project, deadline, has_token="label_studio_api_key" not in unknown)


def _differences(backend: Backend, settings: Settings) -> Iterator[Finding]:
    """Which backend is checked, and which of its settings differ from those here."""
    if backend.is_demo:
        yield Finding("demo", True, f"This checks the demo in {backend.settings.data_dir}.")
    if not backend.alive or backend.running is None:
        return
    different = ", ".join(backend.differences(settings))
    if different:
        message = f"The backend has other values of {different} than are set here; it is checked with its own."
        yield Finding("settings", None, message)


def _advice(name: str) -> str:
    names = " and ".join(variables(setting)[-1] for setting in (BELONGS_TO.get(name), name) if setting)
    return f"set {names} here too to have it checked"


def _findings(settings: Settings, project: int | None, deadline: float, *, has_token: bool) -> Iterator[Finding]:
    server = _backend_server(settings)
    connections, device = _connections(settings, project, []), ""
    if server and not Store.exists(settings.data_dir, settings.database_url):
        yield Finding("data directory", None, f"Nothing has run in {settings.data_dir}. {_elsewhere(settings)}")
    else:
        try:
            store = Store(settings.data_dir, settings.database_url)
        except PT4ALError as error:
            yield Finding("data directory", False, str(error))
        else:
            with closing(store):
                trouble = store.disk_trouble()
                yield Finding("data directory", not trouble, trouble or f"{settings.data_dir} can be written.")
                yield _worker(settings, store, server)
                connections = _connections(settings, project, store.projects())
                worker = store.worker()
                if worker is not None and is_alive(worker):
                    device = worker.device
                    deadline += WHILE_BUSY if worker.busy_with else 0
    yield _port(settings, served=server is not None)
    yield _encoder(settings)
    if not has_token:
        connections = {place: numbers for place, numbers in connections.items() if place[1]}
    checks = [Check("device", partial(_device, settings.device, device, deadline))]
    for (url, token), numbers in connections.items():
        run = partial(_label_studio, url, token, numbers, settings, deadline)
        checks.append(Check(f"Label Studio {without_userinfo(url)}", run))
    yield from checks[0].findings(deadline + 0.2)
    if has_token:
        yield from _missing_connections(settings, connections)
    for check in checks[1:]:
        yield from check.findings(deadline + 0.2)  # normally, they end in time by themselves


class Check:
    """A check in its own thread, with a limit on how long one waits for its findings."""

    def __init__(self, name: str, run: Callable[[], Iterable[Finding]]) -> None:
        self._name, self._check = name, run
        self._findings: list[Finding] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def findings(self, deadline: float) -> Iterator[Finding]:
        """The findings by the deadline, and a remark if the check is not complete."""
        self._thread.join(max(deadline - time.monotonic(), 0.0))
        late = self._thread.is_alive()
        yield from list(self._findings)
        if self._error is not None:
            raise self._error
        if late:
            name = f"{self._name}: the rest" if self._findings else self._name
            yield Finding(name, None, "This check takes too long: try again.")

    def _run(self) -> None:
        try:
            for finding in self._check():
                self._findings.append(finding)
        except BaseException as error:
            self._error = error


def _connections(settings: Settings, project: int | None, rows: Sequence[Project]) -> Connections:
    connections: Connections = {}
    url = settings.label_studio_url
    if url:
        connections[url, settings.label_studio_api_key.get_secret_value()] = []
    for row in rows:
        if project in (None, row.number):
            token = token_for(row.label_studio_url, row.access_token, settings)
            connections.setdefault((row.label_studio_url, token), []).append(row.number)
    if url and project is not None and not any(connections.values()):
        connections[url, settings.label_studio_api_key.get_secret_value()].append(project)
    return connections


# This machine


def _port(settings: Settings, *, served: bool) -> Finding:
    name = f"port {settings.port}"
    if served:
        return Finding(name, True, "pt4al-backend's web server uses it.")
    try:
        free = port_is_free(settings.host, settings.port)
    except PT4ALError as error:
        return Finding(name, False, str(error))
    if free:
        return Finding(name, True, "It is free for the web server.")
    return Finding(name, False, "Another program uses it: stop that, or set PT4AL_PORT to a free port.")


@dataclass(frozen=True)
class Server:
    """A web process of pt4al-backend that listens on the port."""

    has_worker: bool | None
    """None if unknown, because it requires a password that is not in the settings."""


def _backend_server(settings: Settings) -> Server | None:
    """The server on the port, if it asks for the password of a pt4al-backend or has the status of one."""
    auth = (settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())
    try:
        with httpx.Client(trust_env=False, timeout=2.0) as client:
            response = client.get(f"{address(settings)}/api/status", auth=auth if auth[0] else None)
            if response.status_code == 401:
                return Server(None) if "pt4al-backend" in response.headers.get("www-authenticate", "") else None
            report = response.json() if response.is_success else None
    except (httpx.HTTPError, ValueError):
        return None
    worker = report.get("worker") if isinstance(report, dict) else None
    return Server(bool(worker.get("alive"))) if isinstance(worker, dict) else None


def _elsewhere(settings: Settings) -> str:
    return (
        f"The backend on port {settings.port} keeps its data elsewhere: run this command on its machine, and name its "
        "data directory with --data-dir or PT4AL_DATA_DIR."
    )


def _worker(settings: Settings, store: Store, server: Server | None) -> Finding:
    now = health(store)
    if now.worker["alive"]:
        return Finding("worker", not now.starved, f"It runs, but {now.starved}." if now.starved else "It runs.")
    if now.worker["starting"]:
        return Finding("worker", None, "It is starting: check again in a few seconds.")
    start = "start it with `pt4al-backend start` or `pt4al-backend worker`."
    if server and server.has_worker is None:
        password = "The backend requires its password: set BASIC_AUTH_USER and BASIC_AUTH_PASS."
        return Finding("worker", None, f"None runs in {settings.data_dir}. {password}")
    if server and server.has_worker:
        return Finding("worker", False, f"None runs in {settings.data_dir}. {_elsewhere(settings)}")
    if server:
        return Finding("worker", False, f"The web server runs without it, so nothing is trained: {start}")
    return Finding("worker", None, f"It is not running: {start}")


def _device(name: str, device: str, deadline: float) -> Iterator[Finding]:
    if device:
        yield Finding("device", True, f"The worker trains on {device}.")
        return
    # In another process: torch takes half a gigabyte, and a broken GPU driver may crash its process.
    command = [sys.executable, "-c", FIND_DEVICE, name]
    seconds = max(deadline - time.monotonic(), 0.1)
    try:
        process = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds)
    except subprocess.TimeoutExpired:
        message = (
            "PyTorch takes too long to start, as it may on a busy machine. The worker logs its device at its start."
        )
        yield Finding("device", None, message)
        return
    if process.returncode == 0:
        yield Finding("device", True, f"Training would run on {process.stdout.strip()}.")
        return
    lines = process.stderr.strip().splitlines() or [f"PyTorch exited with code {process.returncode}."]
    yield Finding("device", False, f"{lines[-1]} The setting is PT4AL_DEVICE.")


def _encoder(settings: Settings) -> Finding:
    encoder = settings.pretrained
    if encoder is None:
        return Finding("encoder", True, "Networks are trained on the project's own images.")
    free, sentence = encoder_catalogue.about(encoder)
    return Finding("encoder", free or None, f"{encoder}. {sentence}")


# Label Studio


def _missing_connections(settings: Settings, connections: Connections) -> Iterator[Finding]:
    if settings.label_studio_api_key.get_secret_value() and not settings.label_studio_url:
        yield Finding("token", False, "LABEL_STUDIO_API_KEY is not used without LABEL_STUDIO_URL: set both.")
    if not connections:
        advice = "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or connect a project."
        yield Finding("Label Studio", None, f"None is known yet: {advice}")
    elif not any(connections.values()):
        yield Finding("projects", None, "None is connected: name one with --project to check it.")


def _label_studio(
    url: str, token: str, numbers: Sequence[int], settings: Settings, deadline: float
) -> Iterator[Finding]:
    name = f"Label Studio {without_userinfo(url)}"
    try:
        client = LabelStudioClient.of(url, token, settings)
    except PT4ALError as error:
        yield Finding(name, False, str(error))
        return
    with closing(client):
        login = tried(name, lambda: f"The token belongs to {_user(client)}.")
        yield login
        slots = threading.Semaphore(AT_A_TIME)

        def check_project(number: int) -> Iterator[Finding]:
            with slots:
                yield from probe_project(client, number, settings, own_url=address(settings))

        for check in [Check(f"project {number}", partial(check_project, number)) for number in numbers if login.ok]:
            yield from check.findings(deadline)


def _user(client: LabelStudioClient) -> str:
    user = client.request("GET", "api/current-user/whoami")
    if not isinstance(user, dict) or "email" not in user:
        raise LabelStudioError(f"The server at {client.url} is not a Label Studio: correct LABEL_STUDIO_URL.")
    return str(user["email"])
