"""`pt4al-backend start`: a web process and a worker process, restarted when they die."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from contextlib import closing

from pydantic import SecretStr

from pt4al_backend.net.addresses import address, is_loopback, require_free_port
from pt4al_backend.processes.backoff import delay
from pt4al_backend.processes.child import Child, stop_all, watch_parent
from pt4al_backend.settings import Settings

LOOK_INTERVAL = 0.2  # seconds
SLOWEST_RESTART = 30.0  # seconds
HEALTHY_AFTER = 60.0  # seconds; a death after so long counts as a first one

logger = logging.getLogger(__name__)


def start(settings: Settings) -> int:
    """Run both processes until SIGTERM or SIGINT. A second signal does not wait for them to end."""
    from pt4al_backend.processes.heartbeat import require_no_worker  # with the store; `status` needs none of it

    require_free_port(settings.host, settings.port)
    require_no_worker(settings.data_dir)
    asked_to_end = _listen_for_signals()
    watch_parent(grace=15)
    logger.info(announcement(settings))
    keepers = [Keeper(name, environment(settings)) for name in ("web", "worker")]
    try:
        while not asked_to_end:
            for keeper in keepers:
                keeper.tend(time.monotonic())
            time.sleep(LOOK_INTERVAL)
    finally:
        stop_all([keeper.child for keeper in keepers])
    return 0


class Keeper:
    """Keeps one process running: restarts it at once, then after 1, 2, 4, … 30 seconds."""

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        self.name = name
        self._environment = environment
        self._deaths = 0
        self._restart_at: float | None = None
        self.child = self._launch()

    def tend(self, now: float) -> None:
        """Look after the process; `now` in seconds of the monotonic clock."""
        if self._restart_at is not None:
            if now >= self._restart_at:
                self._restart_at = None
                self.child = self._launch()
            return
        code = self.child.exit_code()
        if code is not None:
            self._deaths = 1 if now - self.child.started > HEALTHY_AFTER else self._deaths + 1
            delay = restart_delay(self._deaths)
            when = f"in {delay:g} s" if delay else "at once"
            logger.warning("%s ended (%s); starting it again %s.", self.name, _reason(code), when)
            self._restart_at = now + delay

    def _launch(self) -> Child:
        return Child([sys.executable, "-m", "pt4al_backend.cli", self.name], environment=self._environment)


def restart_delay(deaths: int) -> float:
    """Seconds to wait after so many deaths in a row: 0, 1, 2, 4, … 30."""
    return 0.0 if deaths <= 1 else delay(deaths - 1, most=SLOWEST_RESTART)


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment with every setting spelt out, for a child that is to have the same."""
    values = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        values[f"PT4AL_{name.upper()}"] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return {**os.environ, **values}


def announcement(settings: Settings) -> str:
    """The line that says what to paste into Label Studio."""
    url = address(settings)
    line = f"In Label Studio: project > Settings > Model > Connect Model > {url}   Dashboard: {url}/dashboard"
    if not settings.basic_auth_user and not is_loopback(settings.host):
        line += (
            "   No password is set, so only this machine and private networks are answered: "
            "BASIC_AUTH_USER and BASIC_AUTH_PASS set one."
        )
    return line


def require_usable_store(settings: Settings) -> None:
    """`PT4ALError` if data directory or database cannot be used: said once, not at every restart.

    Who asks from now on is told that the worker is starting.
    """
    from pt4al_backend.store.store import Store

    with closing(Store(settings.data_dir, settings.database_url)) as store:
        store.worker_starts()


def _listen_for_signals() -> list[int]:
    """A list that is no longer empty once a signal has come."""
    received: list[int] = []

    def remember(number: int, _frame: object) -> None:
        if received:
            os._exit(1)  # the children see their lifelines close
        received.append(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, remember)
    return received


def _reason(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
