"""The Label Studio that the tests run, and the empty database that each of theirs starts with.

Run as a program it makes that database; it needs no library, so that any Python can run it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

from support.machine import locked_file

PROGRAM = Path(
    os.environ.get("PT4AL_LABEL_STUDIO", Path(__file__).parents[2] / ".venv-label-studio" / "bin" / "label-studio")
).absolute()
"""The `label-studio` to run, in a virtual environment of its own."""

NOT_INHERITED = ("LABEL_STUDIO_", "DJANGO_", "HOST", "PORT", "USERNAME", "PASSWORD", "DATABASE_NAME")


def program() -> Path:
    if not PROGRAM.exists():
        raise RuntimeError(f"There is no {PROGRAM}: run `make label-studio` first.")
    return PROGRAM


def variables(data_dir: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return inherited | {
        "LABEL_STUDIO_BASE_DATA_DIR": str(data_dir),
        "ML_BLOCK_LOCAL_IP": "false",  # fact 16
        "SSRF_PROTECTION_ENABLED": "false",  # fact 17
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
    }


def migrated_database() -> Path:
    """An empty database of this Label Studio, made once: its several hundred migrations take a minute (fact 38)."""
    environment = program().parents[1]
    version = next(environment.glob("lib/python*/site-packages/label_studio-*.dist-info")).name
    database = environment / f"empty-{version.removesuffix('.dist-info')}.sqlite3"
    with locked_file(environment / "empty.lock"):  # one worker makes it, the others wait
        if not database.exists():
            with tempfile.TemporaryDirectory(dir=environment) as folder:
                _run_migrations(Path(folder))
                (Path(folder) / "label_studio.sqlite3").rename(database)
    return database


def _run_migrations(data_dir: Path) -> None:
    subprocess.run(
        [program(), "init", "--quiet"],
        env=variables(data_dir),
        cwd=data_dir,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=600,
    )


if __name__ == "__main__":
    print(migrated_database())
