"""Whether the token of a /setup is of any use: its Label Studio is asked, while that waits for the answer.

Label Studio sends its users' legacy tokens also where it does not take them (fact 13). Only the form that is open just
then can tell people before they wonder why nothing happens.
"""

from __future__ import annotations

import queue
import threading

from pt4al_backend.errors import LabelStudioError, LabelStudioRefusedError, LabelStudioUnavailableError, PT4ALError
from pt4al_backend.label_studio.client import LabelStudioClient
from pt4al_backend.settings import Settings

PATIENCE = 1.5  # seconds of the three that Label Studio waits (fact 12)
WHO = "api/current-user/whoami"
NOT_TAKEN = (
    "This Label Studio does not take the token it sends, as legacy tokens are off there: make a personal access token "
    "(Account & Settings), set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY where pt4al-backend runs, and start it again."
)

_asking = threading.BoundedSemaphore(4)
"""Held while a Label Studio is asked, whose address anybody may have chosen."""


def require_usable(url: str, access_token: str, settings: Settings) -> None:
    """`PT4ALError` where the Label Studio at `url` does not take the token; what is not known in time passes.

    `access_token`: what came with the /setup; "" where the token is that of the settings.
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
    """The sentence; "" where it is taken, or where nobody can tell: what a proxy says says nothing of the token."""
    own, client = not access_token, None
    try:
        client = LabelStudioClient.of(url, access_token, settings)
        client.request("GET", WHO, seconds=PATIENCE)
    except LabelStudioRefusedError as error:
        return "" if error.status != 401 else str(error) if own else NOT_TAKEN
    except LabelStudioUnavailableError:
        return ""
    except LabelStudioError as error:
        return str(error) if own and client is None else ""  # as could be seen without asking
    finally:
        if client is not None:
            client.close()
    return ""
