"""Entry point of WSGI servers: `gunicorn pt4al_backend._wsgi:app` or, inside this directory, `gunicorn _wsgi:app`.

`label-studio-ml start pt4al_backend -p 9090` runs this file as a script (fact 27), which starts web and worker.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pt4al_backend.settings import Settings

_HERE = Path(__file__).resolve().parent


def _leave_own_directory() -> None:
    """Make `pt4al_backend` importable, and its modules (`settings`, `model`, …) only as parts of it."""
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _HERE]
    if str(_HERE.parent) not in sys.path:
        sys.path.append(str(_HERE.parent))


def main(arguments: list[str] | None = None) -> int:
    """Start web and worker with the options of the SDK's own `_wsgi.py`. Returns the exit code."""
    from pt4al_backend.errors import PT4ALError
    from pt4al_backend.processes.supervisor import require_usable_store, start
    from pt4al_backend.store.privacy import keep_private

    try:
        settings = _settings(arguments)
        _log(settings)
        keep_private(settings.data_dir)
        require_usable_store(settings)
        return start(settings)
    except PT4ALError as error:
        print(error, file=sys.stderr)
        return 1


def _settings(arguments: list[str] | None) -> Settings:
    import argparse

    from pt4al_backend.configuration.setting_sources import nearest
    from pt4al_backend.errors import PT4ALError
    from pt4al_backend.settings import Settings, load_settings

    parser = argparse.ArgumentParser(prog="label-studio-ml start pt4al_backend", description=__doc__)
    parser.add_argument("-p", "--port", type=int)
    parser.add_argument("--host")
    parser.add_argument("-d", "--debug", action="store_true", help="log more; never Flask's debugger, which runs code")
    parser.add_argument("--log-level", choices=["DEBUG", "INFO", "WARNING", "ERROR"])
    parser.add_argument("--model-dir", help="the data directory")
    parser.add_argument("--basic-auth-user")
    parser.add_argument("--basic-auth-pass")
    parser.add_argument("--kwargs", "--with", nargs="+", default=[], metavar="KEY=VAL", help="settings of PT4AL")
    parser.add_argument("--check", action="store_true", help="settings are always checked; see pt4al-backend check")
    options = parser.parse_args(arguments)
    pairs = dict(pair.partition("=")[::2] for pair in options.kwargs)
    unknown = sorted(pairs.keys() - Settings.model_fields.keys())
    if unknown:
        raise PT4ALError("\n".join(f"{key} is not a setting{nearest(key, Settings.model_fields)}" for key in unknown))
    named = {
        "port": options.port,
        "host": options.host,
        "log_level": options.log_level or ("DEBUG" if options.debug else None),
        "data_dir": options.model_dir,
        "basic_auth_user": options.basic_auth_user,
        "basic_auth_pass": options.basic_auth_pass,
    }
    return load_settings(**{**pairs, **{name: value for name, value in named.items() if value is not None}})


def _load_model() -> type:
    """Import the model class, and with it label-studio-ml."""
    from pt4al_backend.model import PT4ALBackend

    return PT4ALBackend


def _log(settings: Settings) -> None:
    import logging

    from pt4al_backend.settings import doubts

    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    for doubt in doubts(data_dir=settings.data_dir):
        logging.warning(doubt)


_leave_own_directory()

if __name__ == "__main__":
    sys.exit(main())
else:
    from pt4al_backend.settings import load_settings
    from pt4al_backend.store.privacy import keep_private
    from pt4al_backend.web.app import create_app

    _log(load_settings())
    keep_private(load_settings().data_dir)
    app = create_app(_load_model)
