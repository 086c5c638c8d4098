"""Files that are complete or unchanged, even when a process is killed, and locks that end with their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pt4al_backend.store.files import locked, new_directory, replacing

KILLED = """
import os, signal, sys
from pathlib import Path
from pt4al_backend.store.files import new_directory, replacing
with {function}(Path(sys.argv[1])) as unfinished:
    {write}
    os.kill(os.getpid(), signal.SIGKILL)
"""
HOLDING = """
import sys
from pathlib import Path
from pt4al_backend.store.files import locked
with locked(Path(sys.argv[1]), shared=sys.argv[2] == "shared") as held:
    print(held, flush=True)
    sys.stdin.read()
"""


def kill_while(function: str, write: str, path: Path) -> None:
    script = KILLED.format(function=function, write=write)
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -signal.SIGKILL


@pytest.mark.parametrize("shared", [False, True])
def test_a_file_is_replaced_when_the_block_ends(tmp_path: Path, shared: bool) -> None:
    path = tmp_path / "file.json"
    for content in ("old", "new"):
        with replacing(path, shared=shared) as unfinished:
            unfinished.write_text(content)
            assert path.exists() is (content == "new")
        assert path.read_text() == content
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(ValueError, match="wrong"), replacing(path) as unfinished:
        unfinished.write_text("half")
        raise ValueError("wrong")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_an_error_in_writing_is_the_one_that_is_raised(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "none" / "file") as unfinished:
        unfinished.write_text("")


def test_a_kill_leaves_the_file_as_it_was_and_the_next_write_cleans_up(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    kill_while("replacing", "unfinished.write_text('half')", path)
    assert path.read_text() == "old"
    with replacing(path) as unfinished:
        unfinished.write_text("new")
    assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]


def test_a_directory_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    kill_while("new_directory", "unfinished.mkdir(); (unfinished / 'a').touch()", path)
    assert not path.exists()
    with new_directory(path) as unfinished:
        unfinished.mkdir()
        (unfinished / "b").touch()
        assert not path.exists()
    assert [entry.name for entry in path.iterdir()] == ["b"] and list(tmp_path.iterdir()) == [path]


def test_a_directory_that_could_not_be_filled_does_not_appear(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="wrong"), new_directory(tmp_path / "directory") as unfinished:
        unfinished.mkdir()
        raise OSError("wrong")
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("theirs", "shared", "held"), [("alone", False, False), ("shared", True, True)])
def test_a_lock_ends_with_its_process(tmp_path: Path, theirs: str, shared: bool, held: bool) -> None:
    path = tmp_path / "lock"
    command = [sys.executable, "-c", HOLDING, str(path), theirs]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        with locked(path, shared=shared, wait=False) as taken:
            assert taken is held
        with locked(path, wait=False) as taken:
            assert not taken
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    with locked(path) as taken:
        assert taken
