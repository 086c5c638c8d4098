"""Rows on disk, when a process is killed while it writes them, and when the disk is full."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.store.row_file import RowFile

BEGIN = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np
from pt4al_backend.store.row_file import RowFile
file = RowFile(Path(sys.argv[1]), dtype=np.uint8, columns=100, mark=2)
"""
KILLED = """
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
file.write(np.array([1]), np.ones((1, 2)), np.full((1, 98), 8))
"""
FULL = """
resource.setrlimit(resource.RLIMIT_FSIZE, (450, 450))
try:
    file.write(np.array([3, 4]), np.ones((2, 2)), np.full((2, 98), 8))
except Exception as error:
    print(type(error).__name__, error)
"""


def of(path: Path) -> RowFile:
    return RowFile(path, dtype=np.uint8, columns=100, mark=2)


def run(script: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEGIN + script, str(path)], capture_output=True, text=True, check=False
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file in which rows 0 and 1 are written."""
    path = tmp_path / "models" / "rows.bin"
    of(path).write(np.array([1, 0]), np.ones((2, 2)), np.full((2, 98), 7))
    return path


def marks(path: Path, *rows: int) -> list[list[int]]:
    return of(path).marks(np.array(rows)).tolist()


def test_rows_that_were_not_written_are_zeros(path: Path) -> None:
    of(path).write(np.array([4]), np.ones((1, 2)), np.full((1, 98), 7))
    assert of(path).rows == 5
    assert of(path).read(np.array([3, 4]))[:, :2].tolist() == [[0, 0], [7, 7]]
    assert marks(path, 3, 4, 5) == [[0, 0], [1, 1], [0, 0]]
    with pytest.raises(IndexError):
        of(path).read(np.array([0, 5]))


def test_a_kill_leaves_no_half_written_row(path: Path) -> None:
    assert run(KILLED, path).returncode == -signal.SIGKILL
    assert of(path).read(np.array([1]))[:, :2].tolist() == [[8, 8]]
    assert marks(path, 0, 1) == [[1, 1], [0, 0]]


def test_the_error_of_a_full_disk_is_a_sentence(path: Path) -> None:
    said = run(FULL, path)
    assert said.stdout.startswith(f"PT4ALError Cannot write to {path} (File too large): free some disk space"), said
    assert marks(path, 0, 1) == [[1, 1], [1, 1]]


def test_a_directory_that_is_a_file_is_an_error_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PT4ALError, match="free some disk space, or make it writable"):
        of(tmp_path / "file" / "rows.bin").write(np.array([0]), np.ones((1, 2)), np.ones((1, 98)))
