"""Whether a disk can be written, and a sentence that says why not."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

PROBE = 64 * 1024
"""Bytes that must fit on a disk: the size of a small transaction."""

_SENTENCES = {
    errno.ENOSPC: "The disk with {path} is full: free some space, and work resumes by itself.",
    errno.EDQUOT: "The disk quota for {path} is used up: free some space, and work resumes by itself.",
    errno.EFBIG: "{path} cannot grow any larger: raise the limit on file sizes.",
    errno.EROFS: "The disk with {path} is read-only: make it writable, and work resumes by itself.",
    errno.EIO: "The disk with {path} fails (input/output error): check or replace it.",
    errno.ENOENT: "{path} is gone: put it back, or restart pt4al-backend to begin with an empty one.",
}
_NOT_ALLOWED = "{path} cannot be written by this user: make it writable, and work resumes by itself."
DISK_ERRORS = frozenset(_SENTENCES) | {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EMFILE}


def describe(error: OSError, path: Path) -> str:
    """Say what is wrong and what to do.

    Args:
        error: The error of a write.
        path: The file or directory that could not be written.
    """
    if error.errno in (errno.EACCES, errno.EPERM):
        return _NOT_ALLOWED.format(path=path)
    sentence = _SENTENCES.get(error.errno or 0)
    return sentence.format(path=path) if sentence else f"{path} cannot be written ({error.strerror or error})."


def trouble_with(directory: Path) -> str:
    """Why nothing can be written to a directory now; "" if something can."""
    try:
        with tempfile.TemporaryFile(
            dir=directory, buffering=0
        ) as file:  # it has no name, so a kill leaves nothing behind
            remaining = PROBE
            while remaining:
                remaining -= file.write(bytes(remaining)) or 0
    except OSError as error:
        return describe(error, directory)
    return ""
