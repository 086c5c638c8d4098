"""Counts the values in a JSON text before anything is built from it.

A byte can become 50 bytes of objects, so a limit on the size of a body limits neither memory nor time.
"""

from __future__ import annotations

import json

MOST_PARTS = 1_000_000
"""Objects, lists and strings, including keys: the values that take memory."""

MOST_VALUES = 8_000_000
"""All values. Masks are lists of numbers, which are small."""

_CHUNK = 64 * 2**10  # bytes; other threads run in between


def holds_too_much(text: bytes) -> bool:
    """Whether a JSON text holds more than `MOST_PARTS` or `MOST_VALUES`.

    Raises:
        ValueError: The text is not UTF-8.
    """
    if json.detect_encoding(text) not in ("utf-8", "utf-8-sig"):
        raise ValueError("not UTF-8")
    parts = values = within = 0
    rest = b""
    for start in range(0, len(text), _CHUNK):
        chunk = rest + text[start : start + _CHUNK]
        rest = (
            b"\\" if (len(chunk) - len(chunk.rstrip(b"\\"))) % 2 else b""
        )  # it escapes the first byte of the next chunk
        chunk = chunk.removesuffix(rest).replace(rb"\\", b"").replace(rb"\"", b"")
        pieces = chunk.split(b'"')  # alternately outside and inside strings
        outside = b"".join(pieces[within::2])
        quotes = len(pieces) - 1
        parts += outside.count(b"{") + outside.count(b"[") + (quotes + 1 - within) // 2
        within = (within + quotes) % 2
        values += outside.count(b",")
        if parts > MOST_PARTS or values > MOST_VALUES:
            return True
    return False
