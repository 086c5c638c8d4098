"""Checks the token of a /setup: asks its Label Studio, which waits for the response meanwhile.

Label Studio sends its users' legacy tokens even if it does not accept them (fact 13). Only the form that is open at
that moment can tell people before they wonder why nothing happens.
"""

from __future__ import annotations

import queue
import threading

from pt4al_backend.errors import LabelStudioError, LabelStudioRefusedError, LabelStudioUnavailableError, PT4ALError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.settings import Settings

PATIENCE = 1.5  # seconds of the three that Label Studio waits (fact 12)
WHO = "api/current-user/whoami"
NOT_ACCEPTED = (
    "This Label Studio does not accept the token it sends, because legacy tokens are off: create a personal access "
    "token (Account & Settings), set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY where pt4al-backend runs, and "
    "restart it."
)

_asking = threading.BoundedSemaphore(4)
"""Held while a Label Studio is asked: anybody may choose its address."""


def require_usable(url: str, access_token: str, settings: Settings) -> None:
    """Check that a Label Studio accepts a token. Passes if that is not known in time.

    Args:
        url: The address of the Label Studio.
        access_token: The token of the /setup; "" for the one in the settings.
        settings: The settings.

    Raises:
        PT4ALError: The Label Studio rejects the token.
    """
    if not _asking.acquire(blocking=False):
        return
    verdict: queue.SimpleQueue[str] = queue.SimpleQueue()

    def ask() -> None:
        try:
            verdict.put(_why_refused(url, access_token, settings))
        finally:
            _asking.release()

    threading.Thread(target=ask, name="token", daemon=True).start()
    try:
        refusal = verdict.get(timeout=PATIENCE)
    except queue.Empty:
        return
    if refusal:
        raise PT4ALError(refusal)


def _why_refused(url: str, access_token: str, settings: Settings) -> str:
    """Why the token is rejected; "" if it is not, or if that is unknown: a proxy's response proves nothing."""
    from_settings, client = not access_token, None
    try:
        client = LabelStudioClient.of(url, access_token, settings)
        client.request("GET", WHO, seconds=PATIENCE)
    except LabelStudioRefusedError as error:
        return "" if error.status != 401 else str(error) if from_settings else NOT_ACCEPTED
    except LabelStudioUnavailableError:
        return ""
    except LabelStudioError as error:
        return str(error) if from_settings and client is None else ""  # the token itself is malformed
    finally:
        if client is not None:
            client.close()
    return ""
