"""Which files become private, and which ones the log warns about."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from pt4al_backend.store.privacy import keep_private


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def make(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("token")


def mode(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


def test_only_files_of_earlier_runs_are_tightened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ours = ["pt4al.db", "pt4al.db-wal", "pt4al.db-shm", "worker.lock", "cache.db", "pixels/1/32px.bin"]
    ours += ["models/7/main-1.safetensors"]
    theirs = ["pt4al.toml", "models/theirs/weights.bin", "notes/a.txt"]
    make(*(tmp_path / name for name in [*ours, *theirs]))
    (tmp_path / "models" / "2").symlink_to(tmp_path / "notes")
    tmp_path.chmod(0o755)
    with caplog.at_level(logging.WARNING):
        keep_private(tmp_path)
    assert {mode(tmp_path / name) for name in ours} == {"600"}
    assert {mode(tmp_path / name) for name in ("pixels", "pixels/1", "models/7")} == {"700"}
    assert {mode(tmp_path / name) for name in theirs} == {"644"}
    assert {mode(tmp_path / name) for name in ("models", "notes")} == {"755"}
    told = "\n".join(caplog.messages)
    assert f"Every user of this machine can read {tmp_path / 'pt4al.toml'}: chmod" in told
    assert "pt4al.db" not in told


def test_new_files_are_private(tmp_path: Path) -> None:
    keep_private(tmp_path / "new")
    make(tmp_path / "new" / "below" / "file")
    assert mode(tmp_path / "new") == mode(tmp_path / "new" / "below") == "700"
    assert mode(tmp_path / "new" / "below" / "file") == "600"


def test_a_private_directory_needs_no_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make(tmp_path / "pt4al.toml")
    tmp_path.chmod(0o700)
    keep_private(tmp_path)
    assert not caplog.messages
    tmp_path.chmod(0o777)
    keep_private(tmp_path)
    assert "can change the files in" in caplog.messages[0]
