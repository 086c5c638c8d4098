"""Refusals on the console, where Label Studio sends people who see that something failed.

A stranger may be refused a thousand times a second: of each kind a few lines a minute are written, and a count.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from flask import has_request_context, request

logger = logging.getLogger(__name__)

LINES = 5  # of a kind in a window
WINDOW = 60.0  # seconds
clock = time.monotonic


@dataclass
class _Kind:
    began: float
    lines: int = 0
    left_out: int = 0


_lock = threading.Lock()
_kinds: dict[tuple[str, int], _Kind] = {}  # as many as there are routes and statuses


def tell(code: int, sentence: str) -> None:
    """Log that a request was refused; `sentence` is on one line and holds no secret."""
    asked = f"{request.method} {request.url_rule}" if has_request_context() and request.url_rule else ""
    with _lock:
        now = clock()
        kind = _kinds.get((asked, code))
        left_out = kind.left_out if kind is not None and now - kind.began >= WINDOW else 0
        if kind is None or now - kind.began >= WINDOW:
            kind = _kinds[asked, code] = _Kind(now)
        if kind.lines >= LINES:
            kind.left_out += 1
            return
        kind.lines += 1
    more = f" ({left_out} more like it were not logged.)" if left_out else ""
    logger.warning("refused %s with %d: %s%s", asked or "a request", code, sentence, more)
