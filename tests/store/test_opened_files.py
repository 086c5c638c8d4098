"""Files that were replaced after they were opened."""

import os
import time

import pytest

from pt4al_backend.errors import DataGoneError, DataReplacedError
from pt4al_backend.store import opened_files
from pt4al_backend.store.opened_files import OpenedFiles


@pytest.fixture
def files(tmp_path):
    for name in ("db", "db-wal"):
        (tmp_path / name).write_text("rows")
    return OpenedFiles([tmp_path / "db", tmp_path / "db-wal", tmp_path / "db-shm"])


def test_what_changes_inside_is_the_same_file(tmp_path, files):
    files.require()
    (tmp_path / "db").write_text("more rows")
    (tmp_path / "db-shm").write_text("was not there before")
    files.require()


@pytest.mark.parametrize("name", ["db", "db-wal"])
def test_a_file_that_is_gone(tmp_path, files, name):
    (tmp_path / name).unlink()
    with pytest.raises(DataGoneError, match="put it back, or restart pt4al-backend"):
        files.require()


def test_another_file_is_accepted_once_it_is_no_longer_being_copied(tmp_path, files, monkeypatch):
    (tmp_path / "new").write_text("other rows")
    os.replace(tmp_path / "new", tmp_path / "db")
    with pytest.raises(DataGoneError):
        files.require()
    later = time.time() + opened_files.SETTLED
    monkeypatch.setattr(opened_files.time, "time", lambda: later)
    with pytest.raises(DataReplacedError, match="continues with the new one"):
        files.require()
    (tmp_path / "db").write_text("")
    with pytest.raises(DataGoneError):
        files.require()
