"""`pt4al-backend start`: a web process and a worker process, restarted when they end."""

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

CHECK_INTERVAL = 0.2  # seconds between two checks of the processes
SLOWEST_RESTART = 30.0  # seconds
HEALTHY_AFTER = 60.0  # seconds; a process that ran so long and then ends counts as ending for the first time

logger = logging.getLogger(__name__)


def start(settings: Settings) -> int:
    """Run both processes until SIGTERM or SIGINT. A second signal does not wait for them to end.

    Returns:
        The exit code of the process.
    """
    from pt4al_backend.processes.heartbeat import require_no_worker  # imports the store, which other callers do without

    require_free_port(settings.host, settings.port)
    require_no_worker(settings.data_dir)
    asked_to_end = _listen_for_signals()
    watch_parent(grace=15)
    logger.info(announcement(settings))
    keepers = [Keeper(name, environment(settings)) for name in ("web", "worker")]
    try:
        while not asked_to_end:
            for keeper in keepers:
                keeper.check(time.monotonic())
            time.sleep(CHECK_INTERVAL)
    finally:
        stop_all([keeper.child for keeper in keepers])
    return 0


class Keeper:
    """Keeps a process running: restarts it at once, and if it ends again, after 1, 2, 4, … 30 seconds."""

    def __init__(self, name: str, environment: dict[str, str]) -> None:
        self.name = name
        self._environment = environment
        self._exits = 0
        self._restart_at: float | None = None
        self.child = self._launch()

    def check(self, now: float) -> None:
        """Restart the process if it has ended and its delay is over.

        Args:
            now: Seconds of the monotonic clock.
        """
        if self._restart_at is not None:
            if now >= self._restart_at:
                self._restart_at = None
                self.child = self._launch()
            return
        code = self.child.exit_code()
        if code is not None:
            self._exits = 1 if now - self.child.started > HEALTHY_AFTER else self._exits + 1
            delay = restart_delay(self._exits)
            when = f"in {delay:g} s" if delay else "at once"
            logger.warning("The %s process ended (%s); restarting it %s.", self.name, _reason(code), when)
            self._restart_at = now + delay

    def _launch(self) -> Child:
        return Child([sys.executable, "-m", "pt4al_backend.cli", self.name], environment=self._environment)


def restart_delay(exits: int) -> float:
    """Seconds to wait before restarting a process that has ended `exits` times in a row: 0, 1, 2, 4, … 30."""
    return 0.0 if exits <= 1 else delay(exits - 1, most=SLOWEST_RESTART)


def environment(settings: Settings) -> dict[str, str]:
    """This process's environment plus a variable for every setting, so that a child gets the same settings."""
    values = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        values[f"PT4AL_{name.upper()}"] = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    return {**os.environ, **values}


def announcement(settings: Settings) -> str:
    """The line that says which address to paste into Label Studio."""
    url = address(settings)
    line = f"In Label Studio: project > Settings > Model > Connect Model > {url}   Dashboard: {url}/dashboard"
    if not settings.basic_auth_user and not is_loopback(settings.host):
        line += (
            "   Without a password, only this machine and private networks get answers: "
            "set one with BASIC_AUTH_USER and BASIC_AUTH_PASS."
        )
    return line


def require_usable_store(settings: Settings) -> None:
    """Check the store once, before the worker would fail at every restart; from now on the worker counts as starting.

    Raises:
        PT4ALError: The data directory or the database cannot be used.
    """
    from pt4al_backend.store.store import Store

    with closing(Store(settings.data_dir, settings.database_url)) as store:
        store.worker_starts()


def _listen_for_signals() -> list[int]:
    """A list that receives the signals."""
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
