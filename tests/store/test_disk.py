"""Sentences about disk errors."""

import errno
import os
from pathlib import Path

import pytest
from support.disks import fill, mounted

from pt4al_backend.store.disk import DISK_ERRORS, describe, trouble_with


@pytest.mark.parametrize("number", sorted(DISK_ERRORS))
def test_every_disk_error_has_a_sentence(number):
    sentence = describe(OSError(number, os.strerror(number)), Path("/data"))
    assert "/data" in sentence and sentence.endswith(".")
    assert "Errno" not in sentence


def test_a_user_who_may_not_write():
    assert describe(PermissionError(errno.EACCES, "x"), Path("/data")).startswith(
        "/data cannot be written by this user"
    )


def test_a_directory_that_can_be_written_is_left_as_it_was(tmp_path):
    assert trouble_with(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_gone(tmp_path):
    assert trouble_with(tmp_path / "gone").startswith(f"{tmp_path / 'gone'} is gone: put it back")


def test_a_disk_that_is_full_until_something_is_deleted(tmp_path):
    with mounted(tmp_path / "disk", megabytes=1) as disk:
        ballast = fill(disk)
        assert trouble_with(disk) == f"The disk with {disk} is full: free some space, and work resumes by itself."
        ballast.unlink()
        assert trouble_with(disk) == ""
