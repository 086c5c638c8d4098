"""Try every connection, and say how to mend what fails, in a few seconds: what takes longer is told to.

What is slow is tried at the same time: the device, and each project.
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

from pt4al_backend.errors import LabelStudioError, PT4ALError
from pt4al_backend.label_studio.check_project import Finding, probe_project, tried
from pt4al_backend.label_studio.client import LabelStudioClient, token_for
from pt4al_backend.net.addresses import address, port_is_free, without_userinfo
from pt4al_backend.reports.running_backend import BELONGS_TO, Beside, beside
from pt4al_backend.reports.status import health, is_alive
from pt4al_backend.settings import Settings, variables
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

Targets = dict[tuple[str, str], list[int]]
"""(URL, token) of a Label Studio -> numbers of its projects to look at."""

SECONDS = 3.8  # for all of it, from the start of the process …
LEAST = 2.5  # … or, where it took long to start, for what is tried
AT_A_TIME = 4  # projects of a Label Studio
FIND_DEVICE = """\
import sys
from pt4al_backend import errors, learning
try:
    print(learning.describe_device(learning.resolve_device(sys.argv[1])))
except errors.PT4ALError as error:
    sys.exit(str(error))
"""


def run_checks(own: Settings, *, project: int | None, started: float | None = None) -> Iterator[Finding]:
    """Check this machine, Label Studio, and `project` or else all projects that were connected.

    What is checked is the backend that runs beside, with its settings; where none does, what our `own` settings say.
    `started`: when this process was, by the monotonic clock.
    """
    now = time.monotonic()
    until = max((now if started is None else started) + SECONDS, now + LEAST)
    found = beside(own)
    yield from _beside(found, own)
    unknown = found.running.missing if found.running else ()
    whose = "The backend has one that is not known here" if found.alive else "Not known here: it was given to `start`"
    for name in unknown:
        yield Finding(variables(name)[-1], None, f"{whose}; {_try(name)}.")
    yield from _findings(found.settings, project, until, tokenless="label_studio_api_key" in unknown)


def _beside(found: Beside, own: Settings) -> Iterator[Finding]:
    """Which backend it is, and what of its settings is not these here."""
    if found.is_demo:
        yield Finding("demo", True, f"It is the demo that is looked at, in {found.settings.data_dir}.")
    if not found.alive or found.running is None:
        return
    others = ", ".join(found.contradicting(own))
    if others:
        told = f"The backend runs with other values of {others} than are set here, and is checked with its own."
        yield Finding("settings", None, told)


def _try(name: str) -> str:
    both = " and ".join(variables(one)[-1] for one in (BELONGS_TO.get(name), name) if one)
    return f"set {both} here too, to have it tried"


def _findings(settings: Settings, project: int | None, until: float, *, tokenless: bool) -> Iterator[Finding]:
    server = _our_server(settings)
    targets, device = _targets(settings, project, []), ""
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
                targets = _targets(settings, project, store.projects())
                device = _device_of(store)
    yield _port(settings, served=server is not None)
    if tokenless:
        targets = {place: numbers for place, numbers in targets.items() if place[1]}
    trials = [Trial("device", partial(_device, settings.device, device, until))]
    for (url, token), numbers in targets.items():
        look = partial(_label_studio, url, token, numbers, settings, until)
        trials.append(Trial(f"Label Studio {without_userinfo(url)}", look))
    yield from trials[0].findings(until + 0.2)
    if not tokenless:
        yield from _what_is_known(settings, targets)
    for trial in trials[1:]:
        yield from trial.findings(until + 0.2)  # they end in time by themselves


class Trial:
    """Looks for findings while others do; whoever waits for them waits for so long only."""

    def __init__(self, name: str, look: Callable[[], Iterable[Finding]]) -> None:
        self._name, self._look = name, look
        self._found: list[Finding] = []
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def findings(self, until: float) -> Iterator[Finding]:
        """What is found by then, and a word on what is not."""
        self._thread.join(max(until - time.monotonic(), 0.0))
        late = self._thread.is_alive()
        yield from list(self._found)
        if self._error is not None:
            raise self._error
        if late:
            name = f"{self._name}: the rest" if self._found else self._name
            yield Finding(name, None, "It takes too long to be waited for: try again.")

    def _run(self) -> None:
        try:
            for finding in self._look():
                self._found.append(finding)
        except BaseException as error:
            self._error = error


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
    try:
        free = port_is_free(settings.host, settings.port)
    except PT4ALError as error:
        return Finding(name, False, str(error))
    if free:
        return Finding(name, True, "It is free for the web server.")
    return Finding(name, False, "Another program listens there: stop it, or set PT4AL_PORT to a free port.")


@dataclass(frozen=True)
class Server:
    """The web process of ours that listens on the port."""

    has_worker: bool | None
    """None: it asks for a password that is not in the settings."""


def _our_server(settings: Settings) -> Server | None:
    """What listens on the port, if it asks for our password or has our status."""
    auth = (settings.basic_auth_user, settings.basic_auth_pass.get_secret_value())
    try:
        with httpx.Client(trust_env=False, timeout=2.0) as client:
            answer = client.get(f"{address(settings)}/api/status", auth=auth if auth[0] else None)
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


def _worker(settings: Settings, store: Store, server: Server | None) -> Finding:
    now = health(store)
    if now.worker["alive"]:
        return Finding("worker", not now.starved, f"It runs, but {now.starved}." if now.starved else "It runs.")
    if now.worker["starting"]:
        return Finding("worker", None, "It is starting: look again in some seconds.")
    start = "start it with `pt4al-backend start` or `pt4al-backend worker`."
    if server and server.has_worker is None:
        mend = "say it with BASIC_AUTH_USER and BASIC_AUTH_PASS."
        return Finding("worker", None, f"None runs in {settings.data_dir}. The backend asks for its password: {mend}")
    if server and server.has_worker:
        return Finding("worker", False, f"None runs in {settings.data_dir}. {_elsewhere(settings)}")
    if server:
        return Finding("worker", False, f"The web server runs without it, so nothing is learnt: {start}")
    return Finding("worker", None, f"It does not run now: {start}")


def _device_of(store: Store) -> str:
    """What the worker trains on; "" where none runs."""
    worker = store.worker()
    return worker.device if worker is not None and is_alive(worker) else ""


def _device(name: str, known: str, until: float) -> Iterator[Finding]:
    if known:
        yield Finding("device", True, f"The worker trains on {known}.")
        return
    # In another process: torch takes half a gigabyte, and a broken GPU driver may take its process along.
    command = [sys.executable, "-c", FIND_DEVICE, name]
    seconds = max(until - time.monotonic(), 0.1)
    try:
        found = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=seconds)
    except subprocess.TimeoutExpired:
        told = "PyTorch takes long to start, as on a busy machine. What the worker trains on, it says when it starts."
        yield Finding("device", None, told)
        return
    if found.returncode == 0:
        yield Finding("device", True, f"Trains on {found.stdout.strip()}.")
        return
    lines = found.stderr.strip().splitlines() or [f"PyTorch ended with code {found.returncode}"]
    yield Finding("device", False, f"{lines[-1]} The setting is PT4AL_DEVICE.")


# Label Studio


def _what_is_known(settings: Settings, targets: Targets) -> Iterator[Finding]:
    if settings.label_studio_api_key.get_secret_value() and not settings.label_studio_url:
        yield Finding("token", False, "LABEL_STUDIO_API_KEY is sent nowhere without LABEL_STUDIO_URL: set both.")
    if not targets:
        mend = "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY, or connect a project."
        yield Finding("Label Studio", None, f"None is known yet: {mend}")
    elif not any(targets.values()):
        yield Finding("projects", None, "None is connected: give --project and its number to look at one.")


def _label_studio(url: str, token: str, numbers: Sequence[int], settings: Settings, until: float) -> Iterator[Finding]:
    name = f"Label Studio {without_userinfo(url)}"
    try:
        client = LabelStudioClient.of(url, token, settings)
    except PT4ALError as error:
        yield Finding(name, False, str(error))
        return
    with closing(client):
        login = tried(name, lambda: f"The token is that of {_user(client)}.")
        yield login
        turn = threading.Semaphore(AT_A_TIME)

        def look(number: int) -> Iterator[Finding]:
            with turn:
                yield from probe_project(client, number, settings, own_url=address(settings))

        for trial in [Trial(f"project {number}", partial(look, number)) for number in numbers if login.ok]:
            yield from trial.findings(until)


def _user(client: LabelStudioClient) -> str:
    answer = client.request("GET", "api/current-user/whoami")
    if not isinstance(answer, dict) or "email" not in answer:
        raise LabelStudioError(f"The server at {client.url} is not a Label Studio: fix LABEL_STUDIO_URL.")
    return str(answer["email"])
