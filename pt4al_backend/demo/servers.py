"""The demo's two servers: their ports and settings, how they start, and whether they still run."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import SecretStr

from pt4al_backend.demo import label_studio_server
from pt4al_backend.demo.label_studio_server import LabelStudio, Waiting
from pt4al_backend.errors import PT4ALError
from pt4al_backend.net import addresses
from pt4al_backend.processes import supervisor
from pt4al_backend.processes.child import Child
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

QUERY_SIZE = 20  # images per round: few, so that a person sees several rounds
BACKEND_START = 120.0  # seconds that it may take
PORTS_TO_TRY = 100


@dataclass(frozen=True)
class Backend:
    """A running backend."""

    url: str
    settings: Settings
    child: Child
    log: Path


@dataclass(frozen=True)
class Ports:
    """Where the two servers listen."""

    label_studio: int
    backend: int


def choose_ports(settings: Settings, *, host: str, label_studio: int | None) -> Ports:
    """The ports that were asked for, else the first free ones from 8080 and 9090 on.

    Raises:
        PT4ALError: A port that was asked for is in use.
    """
    chosen = label_studio or _first_free(host, 8080, without=settings.port)
    if label_studio:
        addresses.require_free_port(host, label_studio, option="--label-studio-port")
    if "port" not in settings.model_fields_set:
        return Ports(chosen, _first_free(host, settings.port, without=chosen))
    addresses.require_free_port(host, settings.port)
    if settings.port == chosen:
        raise PT4ALError(f"Label Studio and the backend cannot both have port {chosen}: choose two different ones.")
    return Ports(chosen, settings.port)


def demo_settings(
    settings: Settings, directory: Path, *, host: str, ports: Ports, token: str, image_size: int = 0
) -> Settings:
    """`settings`, but with the demo's own state in `directory` and its own Label Studio.

    Args:
        image_size: Used unless the settings have one.
    """
    changes = {
        "data_dir": directory / "backend",
        "database_url": "",
        "host": host,
        "port": ports.backend,
        "label_studio_url": f"http://localhost:{ports.label_studio}",
        "label_studio_api_key": SecretStr(token),
        "preannotate": True,
        "set_sampling": True,
        "query_size": settings.query_size or QUERY_SIZE,
        "image_size": settings.image_size or image_size,
    }
    return settings.model_copy(update=changes)


def user_token(directory: Path) -> str:
    """The token of the demo's Label Studio user: created once, in a file that only this user can read."""
    file = directory / "token"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(20))
    return file.read_text()


def launch_backend(settings: Settings, log: Path) -> Backend:
    """Start the backend, with the state of earlier demos."""
    delete_unusable_state(settings)
    log.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pt4al_backend.cli", "start"]
    environment = label_studio_server.without_proxy(supervisor.environment(settings))
    return Backend(addresses.address(settings), settings, Child(command, environment=environment, log=log), log)


def delete_unusable_state(settings: Settings) -> None:
    """Delete state that this version cannot use: the labels are in Label Studio, and training starts again."""
    try:
        supervisor.require_usable_store(settings)
    except PT4ALError:
        shutil.rmtree(settings.data_dir, ignore_errors=True)


def forget(backend: Backend, number: int) -> None:
    """Delete a project from the backend's store, after it was deleted in Label Studio."""
    store = Store(backend.settings.data_dir)
    for project in store.find(number):
        store.forget(project.id)
    store.close()


def client(backend: Backend) -> httpx.Client:
    """The backend's HTTP API, with the password if it has one."""
    settings = backend.settings
    password = settings.basic_auth_pass.get_secret_value()
    auth = (settings.basic_auth_user, password) if settings.basic_auth_user else None
    return httpx.Client(base_url=backend.url, auth=auth, timeout=30, trust_env=False)


def require_running(label_studio: LabelStudio, backend: Backend) -> None:
    """Check that both servers still run.

    Raises:
        PT4ALError: One of them has ended.
    """
    for name, child, log in (
        ("Label Studio", label_studio.child, label_studio.log),
        ("The backend", backend.child, backend.log),
    ):
        if child.exit_code() is not None:
            raise PT4ALError(f"{name} has ended. The last lines of {log}:\n{_tail(log)}")


def wait_until_up(backend: Backend, waiting: Waiting) -> None:
    """Wait until the backend answers.

    Raises:
        PT4ALError: It does not start in time.
    """
    deadline = time.monotonic() + BACKEND_START
    with client(backend) as api:
        while not _is_healthy(api):
            waiting()
            if time.monotonic() > deadline:
                raise PT4ALError(f"The backend did not start within {BACKEND_START:.0f} s: see its log, {backend.log}.")
            time.sleep(0.2)


def _is_healthy(api: httpx.Client) -> bool:
    try:
        return api.get("/health").status_code == 200
    except httpx.TransportError:
        return False


def _first_free(host: str, port: int, *, without: int) -> int:
    for candidate in range(port, port + PORTS_TO_TRY):
        if candidate != without and addresses.port_is_free(host, candidate):
            return candidate
    raise PT4ALError(
        f"No port from {port} to {port + PORTS_TO_TRY - 1} is free: choose others with --port and --label-studio-port."
    )


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
