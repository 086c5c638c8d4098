"""Keeps the data directory private to its user: it holds tokens, images and the networks trained on them."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from pt4al_backend.processes.child import LIFELINE
from pt4al_backend.store.database import FILE, MARK
from pt4al_backend.store.migrate import WORKER_LOCK

logger = logging.getLogger(__name__)

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_DATABASE = (FILE, f"{FILE}-wal", f"{FILE}-shm", f"{FILE}-journal")
_FILES = (
    *_DATABASE,
    MARK,
    WORKER_LOCK,
    "web.running.json",
    "worker.running.json",
    "cache.db",
)  # the last one belongs to the SDK
_FOLDERS = ("pixels", "models", "demo")
_IMAGENET = "imagenet."  # prefix of the files of downloaded weights


def keep_private(data_dir: Path) -> None:
    """Create files that only this user can read, here and in child processes, and tighten those of earlier runs.

    Files of other programs stay as they are. If others can read them, the log says so: they may contain a token.
    """
    os.umask(_OTHERS)
    if not data_dir.is_dir():
        return
    for path in filter(_is_open, _created_in(data_dir)):
        with contextlib.suppress(OSError):  # it belongs to another user, who decides; `_warnings` reports it
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~_OTHERS)
    if LIFELINE not in os.environ:  # otherwise the parent process has logged them
        for sentence in _warnings(data_dir):
            logger.warning("%s", sentence)


def _created_in(data_dir: Path) -> Iterator[Path]:
    """The files and directories of this package: the data directory may hold others as well."""
    yield from (data_dir / name for name in _FILES)
    for folder in (data_dir / name for name in _FOLDERS):
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        ours = [path for path in entries if _has_our_name(path) and not path.is_symlink()]
        if folder.name == "demo" or len(ours) == len(entries):
            yield folder
        for path in ours:
            yield path
            for here, folders, files in os.walk(path):
                yield from (Path(here, name) for name in (*folders, *files))


def _has_our_name(path: Path) -> bool:
    return path.name.isdecimal() or path.name.startswith(_IMAGENET)


def _is_open(path: Path) -> bool:
    """Whether a path is a file or directory, not a link, that other users may access."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return False
    return (stat.S_ISREG(mode) or stat.S_ISDIR(mode)) and bool(mode & _OTHERS)


def _warnings(data_dir: Path) -> Iterator[str]:
    mode = data_dir.stat().st_mode
    if mode & stat.S_IWOTH:
        yield f"Every user of this machine can change the files in {data_dir}: chmod o-w {data_dir}"
    if mode & stat.S_IXOTH:
        for path in sorted(data_dir.iterdir()):
            if _is_open(path) and path.lstat().st_mode & stat.S_IROTH:
                yield f"Every user of this machine can read {path}: chmod o-rwx {path}"
