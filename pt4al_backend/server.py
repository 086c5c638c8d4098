"""The web process: gunicorn around the Flask app, one process with many threads."""

from __future__ import annotations

import sys
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from pt4al_backend.errors import PT4ALError
from pt4al_backend.processes import watch_parent
from pt4al_backend.settings import Settings

THREADS = 16  # a /predict may hold one for `predict_wait` seconds


class _ShortLogger(Logger):
    error_fmt = "%(asctime)s web    %(levelname)-7s %(message)s"
    datefmt = "%H:%M:%S"


class _Server(BaseApplication):
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        super().__init__()

    def load_config(self) -> None:
        for name, value in _options(self._settings).items():
            if name in self.cfg.settings:  # `control_socket_disable` is younger than the oldest gunicorn we allow
                self.cfg.set(name, value)

    def load(self) -> Any:
        from pt4al_backend.web.app import create_app

        try:
            return create_app(self._settings)
        except PT4ALError as error:
            print(error, file=sys.stderr, flush=True)
            raise SystemExit(Arbiter.APP_LOAD_ERROR) from None


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. Ends the process: gunicorn exits by itself."""
    _Server(settings).run()


def _options(settings: Settings) -> dict[str, Any]:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return {
        "bind": f"{host}:{settings.port}",
        "worker_class": "gthread",
        "workers": 1,
        "threads": THREADS,
        "timeout": int(settings.predict_wait) + 60,
        "graceful_timeout": 5,
        "keepalive": 30,
        "post_fork": _after_fork,
        "loglevel": "warning",
        "logger_class": _ShortLogger,
        "control_socket_disable": True,
    }


def _after_fork(_server: Any, _worker: Any) -> None:
    watch_parent()
