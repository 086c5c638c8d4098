"""What the backend of a data directory runs with, for the commands beside it: `status`, `check`.

Web process and worker each leave a file in the data directory, readable by their user alone and without secrets, and
hold a lock on it for as long as they live, however they end. Secrets are looked up where they are: in this process's
own settings, or in the environment of the process that runs, where the system shows it.
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
"""Where in a data directory the demo keeps its own."""
BELONGS_TO = {
    "label_studio_api_key": "label_studio_url",
    "label_studio_login": "label_studio_url",
    "basic_auth_pass": "basic_auth_user",
}
PATIENCE = 2.0  # seconds for which the web process may think about its status

Process = Literal["web", "worker"]

logger = logging.getLogger(__name__)


class Presence:
    """Tells that this process runs, and with which settings, until it is closed or the process ends."""

    def __init__(self, settings: Settings, process: Process) -> None:
        self._descriptor = -1
        withheld = {name for name in Settings.model_fields if _is_secret(getattr(settings, name))}
        told = {
            "pid": os.getpid(),
            "settings": settings.model_dump(mode="json", exclude=withheld),
            "withheld": sorted(withheld),
        }
        try:
            self._descriptor = os.open(_file(settings.data_dir, process), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            lock(self._descriptor, shared=True)  # several web processes may serve one store
            os.fchmod(self._descriptor, 0o600)
            os.ftruncate(self._descriptor, 0)
            os.write(self._descriptor, json.dumps(told).encode())
        except OSError as error:  # the commands beside it then know less, and say so
            logger.warning("%s cannot tell that it runs: %s.", process, error.strerror)

    def close(self) -> None:
        """The file stays, to say with what it ran."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True)
class Running:
    """A backend, as the newest file of its data directory tells of it."""

    alive: bool
    """Whether a process holds that file now."""
    settings: Settings
    missing: tuple[str, ...]
    """Secret settings that it has and that are not known here."""


@dataclass(frozen=True)
class Beside:
    """The backend that a command means, and whose settings it is to work with."""

    settings: Settings
    """The backend's, or our own where no backend has told any."""
    running: Running | None
    is_demo: bool = False

    @property
    def alive(self) -> bool:
        """Whether it runs now."""
        return self.running is not None and self.running.alive

    def contradicting(self, own: Settings) -> list[str]:
        """The variables of settings that are given here and that the backend has otherwise."""
        names = sorted(
            own.model_fields_set - {"data_dir", "log_level", *(self.running.missing if self.running else ())}
        )
        return [variables(name)[0] for name in names if getattr(own, name) != getattr(self.settings, name)]

    def status(self) -> dict[str, Any] | None:
        """What the web process answers at `/api/status`; None if none answers, or not us.

        Raises `PT4ALError` where all it can tell is what is wrong with its disk or database.
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
            answer = connection.getresponse()
            report = json.loads(answer.read()) if answer.status in (200, 503) else None
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()
        if answer.status == 503 and isinstance(report, dict) and "error" in report:
            raise PT4ALError(str(report["error"]))
        return report if isinstance(report, dict) and {"projects", "worker"} <= report.keys() else None


def beside(own: Settings) -> Beside:
    """The backend of the data directory, or else the demo in it, where only that has run or runs."""
    here, demo = _read(own.data_dir, own), _read(own.data_dir / DEMO, own)
    is_demo = demo is not None and (not (here and here.alive) if demo.alive else here is None)
    found = demo if is_demo else here
    return Beside(found.settings if found else own, found, is_demo)


def _read(data_dir: Path, own: Settings) -> Running | None:
    found = [one for process in ("web", "worker") if (one := _read_one(_file(data_dir, process), data_dir, own))]
    return next((one for one in found if one.alive), found[0] if found else None)


def _read_one(file: Path, data_dir: Path, own: Settings) -> Running | None:
    try:
        with file.open("rb") as opened:
            told, alive = json.loads(opened.read()), not lock(opened.fileno(), wait=False)
        known = {name: value for name, value in told["settings"].items() if name in Settings.model_fields}
        known |= {"data_dir": data_dir, **dict.fromkeys(told["withheld"], "")}
        theirs = _environment(told["pid"]) if alive else {}
        for name in sorted(told["withheld"], key=BELONGS_TO.__contains__):
            known[name] = _secret(name, theirs, own, known)
        missing = tuple(name for name in told["withheld"] if not known[name])
        return Running(alive, Settings(**known), missing)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None  # there is none, it is being written, or another release wrote it


def _secret(name: str, theirs: Mapping[str, str], own: Settings, known: Mapping[str, Any]) -> str:
    """Theirs, or our own where that is for the same place: a token goes nowhere else."""
    value = next((theirs[variable] for variable in variables(name) if variable in theirs), "")
    place, mine = BELONGS_TO.get(name), getattr(own, name)
    if value or (place and getattr(own, place) != known[place]):
        return value
    return mine.get_secret_value() if isinstance(mine, SecretStr) else str(mine)


def _environment(pid: int) -> dict[str, str]:
    """What a process of this user was started with, where the system shows that."""
    with suppress(OSError):
        entries = Path(f"/proc/{int(pid)}/environ").read_bytes().decode(errors="replace").split("\0")
        return dict(entry.split("=", 1) for entry in entries if "=" in entry)
    return {}


def _is_secret(value: object) -> bool:
    """Passwords and tokens, also in addresses."""
    if isinstance(value, SecretStr):
        return bool(value.get_secret_value())
    return isinstance(value, str) and "://" in value and ("@" in value or "?" in value)


def _file(data_dir: Path, process: str) -> Path:
    return data_dir / f"{process}.running.json"
