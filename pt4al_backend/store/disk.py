"""What is wrong with a disk, in a sentence, and whether anything is."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

PROBE = 64 * 1024
"""Bytes that can be written to a disk that is not full: what one small transaction takes."""

_SENTENCES = {
    errno.ENOSPC: "The disk with {path} is full: free some space, and it goes on by itself.",
    errno.EDQUOT: "The disk quota for {path} is used up: free some space, and it goes on by itself.",
    errno.EFBIG: "{path} may not grow any larger: raise the limit on the size of files.",
    errno.EROFS: "The disk with {path} can only be read: make it writable, and it goes on by itself.",
    errno.EIO: "The disk with {path} fails (input/output error): look after it.",
    errno.ENOENT: "{path} is gone: put it back, or start pt4al-backend again to begin with an empty one.",
}
_NOT_ALLOWED = "{path} cannot be written by this user: make it writable, and it goes on by itself."
DISK_ERRORS = frozenset(_SENTENCES) | {errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EMFILE}


def told(error: OSError, path: Path) -> str:
    """What is wrong, and what to do. `path`: what could not be written, where the error does not say."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return _NOT_ALLOWED.format(path=path)
    sentence = _SENTENCES.get(error.errno or 0)
    return sentence.format(path=path) if sentence else f"{path} cannot be written ({error.strerror or error})."


def trouble_with(directory: Path) -> str:
    """Why nothing can be written into a directory now; "" if something can."""
    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:  # it has no name that could be left behind
            left = PROBE
            while left:
                left -= file.write(bytes(left)) or 0
    except OSError as error:
        return told(error, directory)
    return ""
