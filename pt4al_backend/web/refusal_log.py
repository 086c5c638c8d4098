"""Logs refused requests on the console, where Label Studio sends people when something failed.

A stranger may be refused a thousand times a second: of each kind, only a few lines a minute are logged, and a count.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

from flask import has_request_context, request

logger = logging.getLogger(__name__)

LINES = 5  # of each kind in a window
WINDOW = 60.0  # seconds
clock = time.monotonic


@dataclass
class _Kind:
    began: float
    lines: int = 0
    omitted: int = 0


_lock = threading.Lock()
_kinds: dict[tuple[str, int], _Kind] = {}  # as many as there are routes and statuses


def log(code: int, sentence: str) -> None:
    """Log that a request was refused.

    Args:
        code: The HTTP status of the response.
        sentence: Why, in one line without secrets.
    """
    route = f"{request.method} {request.url_rule}" if has_request_context() and request.url_rule else ""
    with _lock:
        now = clock()
        kind = _kinds.get((route, code))
        omitted = kind.omitted if kind is not None and now - kind.began >= WINDOW else 0
        if kind is None or now - kind.began >= WINDOW:
            kind = _kinds[route, code] = _Kind(now)
        if kind.lines >= LINES:
            kind.omitted += 1
            return
        kind.lines += 1
    more = f" ({omitted} more like it were not logged.)" if omitted else ""
    logger.warning("refused %s with %d: %s%s", route or "a request", code, sentence, more)
