"""Whether the token of a /setup is of any use: its Label Studio is asked, while that waits for the answer.

Label Studio sends its users' legacy tokens also where it does not take them (fact 13). Only the form that is open just
then can tell people before they wonder why nothing happens.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import closing

import httpx

from pt4al_backend.errors import LabelStudioError, LabelStudioRefusedError, LabelStudioUnavailableError, PT4ALError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.label_studio.guard import GuardedTransport
from pt4al_backend.settings import Settings

PATIENCE = 1.5  # seconds of the three that Label Studio waits (fact 12)
WHO = "api/current-user/whoami"
NOT_TAKEN = (
    "This Label Studio does not take the token it sends, as legacy tokens are off there: make a personal access token "
    "(Account & Settings), set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY where pt4al-backend runs, and start it again."
)

_asking = threading.BoundedSemaphore(4)
"""Held while a Label Studio is asked, whose address anybody may have chosen."""


def require_usable(url: str, token: str) -> None:
    """``PT4ALError`` where the Label Studio at ``url`` does not take the token; what is not known in time passes."""
    _require(lambda: NOT_TAKEN if _is_refused(url, token) else "")


def require_own_usable(settings: Settings) -> None:
    """The same of the Label Studio and the token of the settings."""
    _require(lambda: _why_own_is_refused(settings))


def _require(look: Callable[[], str]) -> None:
    if not _asking.acquire(blocking=False):
        return
    verdict: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(look, verdict), name="token", daemon=True).start()
    try:
        refusal = verdict.get(timeout=PATIENCE)
    except queue.Empty:
        return
    if refusal:
        raise PT4ALError(refusal)


def _ask(look: Callable[[], str], verdict: queue.SimpleQueue[str]) -> None:
    try:
        verdict.put(look())
    finally:
        _asking.release()


def _is_refused(url: str, token: str) -> bool:
    try:
        with httpx.Client(transport=GuardedTransport(), timeout=PATIENCE, follow_redirects=False) as client:
            answer = client.get(f"{url}/{WHO}", headers={"Authorization": f"Token {token}"})
            # A proxy that asks for a password says so in another way.
            return answer.status_code == 401 and "detail" in answer.json()
    except (PT4ALError, httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, UnicodeError):
        return False


def _why_own_is_refused(settings: Settings) -> str:
    try:
        client = LabelStudioClient.of(settings.label_studio_url, "", settings)
    except LabelStudioUnavailableError:
        return ""
    except LabelStudioError as error:  # as can be seen without asking
        return str(error)
    with closing(client):
        try:
            client.request("GET", WHO, seconds=PATIENCE)
        except LabelStudioRefusedError as error:
            return str(error) if error.status == 401 else ""
        except PT4ALError:  # also of a proxy that asks for a password
            return ""
    return ""
