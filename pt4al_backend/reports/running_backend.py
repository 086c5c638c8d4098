"""The settings of the backend of a data directory, for the commands that ask about it: `status`, `check`.

The web process and the worker each leave a file in the data directory. Only their user can read it, it holds no
secrets, and its process keeps a lock on it until it ends, however it ends. Secrets come from this process's own
settings, or from the environment of the running process if the system shows that.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr

from pt4al_backend.errors import PT4ALError
from pt4al_backend.net.addresses import address
from pt4al_backend.net.basic_auth import basic_auth
from pt4al_backend.settings import Settings, variables
from pt4al_backend.store.files import lock

DEMO = Path("demo", "backend")
"""Where the demo keeps its state in a data directory."""
BELONGS_TO = {
    "label_studio_api_key": "label_studio_url",
    "label_studio_login": "label_studio_url",
    "basic_auth_pass": "basic_auth_user",
}
"""The setting that names the place a secret is for."""
PATIENCE = 2.0  # seconds to wait for the web process's status

Process = Literal["web", "worker"]

logger = logging.getLogger(__name__)


class Presence:
    """Records that this process runs and with which settings, until it is closed or the process ends."""

    def __init__(self, settings: Settings, process: Process) -> None:
        self._descriptor = -1
        withheld = {name for name in Settings.model_fields if _is_secret(getattr(settings, name))}
        record = {
            "pid": os.getpid(),
            "settings": settings.model_dump(mode="json", exclude=withheld),
            "withheld": sorted(withheld),
        }
        try:
            self._descriptor = os.open(_file(settings.data_dir, process), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            lock(self._descriptor, shared=True)  # several web processes may serve one store
            os.fchmod(self._descriptor, 0o600)
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, json.dumps(record).encode())
        except OSError as error:  # other commands then know less about this backend, and say so
            logger.warning(
                "The %s process cannot record that it runs (%s), so `status` and `check` may not find it.",
                process,
                error.strerror,
            )

    def close(self) -> None:
        """Release the lock. The file stays, as a record of the last settings."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True)
class Running:
    """What a process of a backend recorded in its data directory."""

    alive: bool
    """Whether the process still runs."""
    settings: Settings
    missing: tuple[str, ...]
    """Secret settings that it has and that are not known here."""


@dataclass(frozen=True)
class Backend:
    """The backend that a command is about."""

    settings: Settings
    """The backend's settings, or this process's if no backend has recorded any."""
    running: Running | None
    """None if no backend has recorded anything."""
    is_demo: bool = False

    @property
    def alive(self) -> bool:
        """Whether the backend runs now."""
        return self.running is not None and self.running.alive

    def differences(self, settings: Settings) -> list[str]:
        """The variables that are set explicitly in `settings`, and that have another value in the backend."""
        names = sorted(
            settings.model_fields_set - {"data_dir", "log_level", *(self.running.missing if self.running else ())}
        )
        return [variables(name)[0] for name in names if getattr(settings, name) != getattr(self.settings, name)]

    def status(self) -> dict[str, Any] | None:
        """The web process's `/api/status`; None if nothing answers, or another program does.

        Raises:
            PT4ALError: The web process reports that its disk or database cannot be used.
        """
        if not self.alive:
            return None
        settings, headers = self.settings, {}
        if settings.basic_auth_user:
            login = f"{settings.basic_auth_user}:{settings.basic_auth_pass.get_secret_value()}"
            headers = {"Authorization": basic_auth(login)}
        connection = http.client.HTTPConnection(urlsplit(address(settings)).netloc, timeout=PATIENCE)
        try:
            connection.request("GET", "/api/status", headers=headers)
            response = connection.getresponse()
            report = json.loads(response.read()) if response.status in (200, 503) else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        if response.status == 503 and isinstance(report, dict) and "error" in report:
            raise PT4ALError(str(report["error"]))
        return report if isinstance(report, dict) and {"projects", "worker"} <= report.keys() else None


def find_backend(settings: Settings) -> Backend:
    """The backend of the data directory, or the demo in it if only that runs, or only that has ever run.

    Args:
        settings: Those of this process.
    """
    regular, demo = _read(settings.data_dir, settings), _read(settings.data_dir / DEMO, settings)
    is_demo = demo is not None and (not (regular and regular.alive) if demo.alive else regular is None)
    running = demo if is_demo else regular
    return Backend(running.settings if running else settings, running, is_demo)


def _read(data_dir: Path, settings: Settings) -> Running | None:
    files = [_file(data_dir, process) for process in ("web", "worker")]
    records = [record for file in files if (record := _read_file(file, data_dir, settings))]
    return next((record for record in records if record.alive), records[0] if records else None)


def _read_file(file: Path, data_dir: Path, settings: Settings) -> Running | None:
    try:
        with file.open("rb") as opened:
            record, alive = json.loads(opened.read()), not lock(opened.fileno(), wait=False)
        values = {name: value for name, value in record["settings"].items() if name in Settings.model_fields}
        values |= {"data_dir": data_dir, **dict.fromkeys(record["withheld"], "")}
        environment = _environment(record["pid"]) if alive else {}
        for name in sorted(record["withheld"], key=BELONGS_TO.__contains__):
            values[name] = _secret(name, environment, settings, values)
        missing = tuple(name for name in record["withheld"] if not values[name])
        return Running(alive, Settings(**values), missing)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # there is no file, it is being written, or another release wrote it


def _secret(name: str, environment: Mapping[str, str], settings: Settings, values: Mapping[str, Any]) -> str:
    """The backend's secret, or this process's if that is for the same place: a token goes nowhere else.

    Args:
        environment: The backend's environment.
        settings: Those of this process.
        values: The backend's settings, as far as they are known.
    """
    secret = next((environment[variable] for variable in variables(name) if variable in environment), "")
    place, local = BELONGS_TO.get(name), getattr(settings, name)
    if secret or (place and getattr(settings, place) != values[place]):
        return secret
    return local.get_secret_value() if isinstance(local, SecretStr) else str(local)


def _environment(pid: int) -> dict[str, str]:
    """The environment that a process of this user was started with; empty if the system does not show it."""
    with suppress(OSError):
        entries = Path(f"/proc/{int(pid)}/environ").read_bytes().decode(errors="replace").split("\0")
        return dict(entry.split("=", 1) for entry in entries if "=" in entry)
    return {}


def _is_secret(value: object) -> bool:
    """Whether a setting's value is a password or token, or an address that may hold one."""
    if isinstance(value, SecretStr):
        return bool(value.get_secret_value())
    return isinstance(value, str) and "://" in value and ("@" in value or "?" in value)


def _file(data_dir: Path, process: str) -> Path:
    return data_dir / f"{process}.running.json"
