"""Whether the token of a /setup is of any use: its Label Studio is asked, while that waits for the answer.

Label Studio sends its users' legacy tokens also where it does not take them (fact 13). Only the form that is open just
then can tell people before they wonder why nothing happens.
"""

from __future__ import annotations

import queue
import threading

import httpx

from pt4al_backend.errors import PT4ALError
from pt4al_backend.label_studio.guard import GuardedTransport

PATIENCE = 1.5  # seconds of the three that Label Studio waits (fact 12)

_asking = threading.BoundedSemaphore(4)
"""Held while a Label Studio is asked, whose address anybody may have chosen."""


def require_usable(url: str, token: str) -> None:
    """``PT4ALError`` where the Label Studio at ``url`` does not take the token; what is not known in time passes."""
    if not _asking.acquire(blocking=False):
        return
    verdict: queue.SimpleQueue[bool] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(url, token, verdict), name="token", daemon=True).start()
    try:
        refused = verdict.get(timeout=PATIENCE)
    except queue.Empty:
        return
    if refused:
        raise PT4ALError(
            "This Label Studio does not take the token it sends, as legacy tokens are off there: make a personal "
            "access token (Account & Settings), set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY where pt4al-backend "
            "runs, and start it again."
        )


def _ask(url: str, token: str, verdict: queue.SimpleQueue[bool]) -> None:
    try:
        verdict.put(_is_refused(url, token))
    finally:
        _asking.release()


def _is_refused(url: str, token: str) -> bool:
    try:
        with httpx.Client(transport=GuardedTransport(), timeout=PATIENCE, follow_redirects=False) as client:
            answer = client.get(f"{url}/api/current-user/whoami", headers={"Authorization": f"Token {token}"})
            # A proxy that asks for a password says so in another way.
            return answer.status_code == 401 and "detail" in answer.json()
    except (PT4ALError, httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, UnicodeError):
        return False
