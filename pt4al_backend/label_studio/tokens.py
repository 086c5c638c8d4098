"""Personal access tokens: JWTs that are exchanged for access tokens, which are JWTs of some minutes (fact 19)."""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from pt4al_backend.errors import LabelStudioError, LabelStudioRefusedError

_LATEST = 1e11  # unix seconds, the year 5138: a token that ends later makes no sense


def is_personal(token: str) -> bool:
    """Whether it is a JWT. Legacy tokens are hexadecimal."""
    return _claims(token) is not None


class PersonalToken:
    """A personal access token, and the access token it was exchanged for. Any number of threads may share it."""

    def __init__(self, token: str, exchange: Callable[[str], str]) -> None:
        """`exchange`: asks Label Studio for an access token; of threads that need one, one does.

        Raises:
            LabelStudioError: the token has expired, or makes no sense.
        """
        self._token, self._exchange = token, exchange
        self._require_valid()
        self._renewing = threading.Lock()
        self._access, self._ends = "", 0.0

    def access(self) -> str:
        """An access token that has not expired by our clock."""
        with self._renewing:
            if not self._access or self._ends <= time.time():
                self._require_valid()
                self._access = self._exchange(self._token)
                self._ends = _end(self._access)
            return self._access

    def refused(self, access: str) -> None:
        """Label Studio does not take this access token: the next one is a new one."""
        with self._renewing:
            if self._access == access:
                self._access = ""

    def _require_valid(self) -> None:
        end = _end(self._token)
        if not 0 <= end <= _LATEST and end != math.inf:
            raise LabelStudioError(
                "The personal access token makes no sense: make a new one in Label Studio under Account & Settings."
            )
        if end == math.inf or end < time.time():
            raise LabelStudioRefusedError(
                "The personal access token has expired: make a new one in Label Studio under "
                "Account & Settings and set LABEL_STUDIO_API_KEY to it.",
                status=401,
            )


def _end(token: str) -> float:
    """When a JWT expires, in unix seconds; `math.inf` where it does not say."""
    end = (_claims(token) or {}).get("exp")
    return float(end) if isinstance(end, int | float) else math.inf


def _claims(token: str) -> dict[str, Any] | None:
    """What a JWT says, unverified: only Label Studio can verify it. None if it is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None
