"""Disks and databases that are in trouble, for real."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted(directory: Path, *, megabytes: int) -> Iterator[Path]:
    """A disk of its own at `directory`."""
    if os.geteuid() or not shutil.which("mount"):
        pytest.skip("Mounting a small disk needs root: run the tests as root, in a container for example.")
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "tmpfs", directory], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", directory], check=False, capture_output=True)


def fill(directory: Path, *, leave: int = 0) -> Path:
    """Fill the disk but for `leave` bytes; returns the file that takes the space."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError as error:
            assert error.errno == errno.ENOSPC
        file.truncate(max(file.tell() - leave, 0))
    return ballast


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Meanwhile another program holds the database."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")
