"""Atomic writes of files and directories, and file locks."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replacing(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Write a file in one atomic step.

    Yields a path beside `path` to write to. When the block ends, that file is flushed to disk and takes the place of
    `path`; if the block raises, the file is deleted. After a kill at any moment `path` has its old or its new content.

    Args:
        path: The file to replace, in an existing directory.
        shared: Other processes may write it at the same time. Otherwise the next write overwrites what a kill left.
    """
    unfinished = _beside(path, shared=shared)
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        with suppress(OSError):  # the first error is the one that counts
            unfinished.unlink(missing_ok=True)


@contextmanager
def new_directory(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Fill a new directory in one atomic step: yields a directory beside `path`, renamed to it when the block ends."""
    unfinished = _beside(path, shared=shared)
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        yield unfinished
        unfinished.rename(path)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def lock(descriptor: int, *, shared: bool = False, wait: bool = True) -> bool:
    """Lock an open file until it is closed or its process ends.

    Returns:
        False if others hold the lock and `wait` is false.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[bool]:
    """Hold the lock on a file, which is created if it is missing. Yields what `lock` returns."""
    with path.open("a") as file:
        yield lock(file.fileno(), shared=shared, wait=wait)


def _beside(path: Path, *, shared: bool) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}.tmp" if shared else f"{path.name}.tmp")
