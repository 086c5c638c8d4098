"""Personal access tokens: each is exchanged for access tokens that are valid for minutes; both are JWTs (fact 19)."""

from __future__ import annotations

import base64
import json
import math
import threading
import time
from collections.abc import Callable
from typing import Any

from pt4al_backend.errors import LabelStudioError, LabelStudioRefusedError

_LATEST = 1e11  # Unix seconds, the year 5138: a later expiry makes no sense


def is_personal(token: str) -> bool:
    """Whether a token is a personal access token, which is a JWT. Legacy tokens are hexadecimal."""
    return _claims(token) is not None


class PersonalToken:
    """A personal access token with its present access token. Any number of threads may share it."""

    def __init__(self, token: str, exchange: Callable[[str], str]) -> None:
        """
        Args:
            token: the personal access token.
            exchange: requests an access token for it from Label Studio; only one thread at a time calls it.

        Raises:
            LabelStudioError: the token has expired, or makes no sense.
        """
        self._token, self._exchange = token, exchange
        self._require_valid()
        self._renewing = threading.Lock()
        self._access, self._ends = "", 0.0

    def access(self) -> str:
        """An access token that has not expired by this machine's clock."""
        with self._renewing:
            if not self._access or self._ends <= time.time():
                self._require_valid()
                self._access = self._exchange(self._token)
                self._ends = _end(self._access)
            return self._access

    def refused(self, access: str) -> None:
        """Discard an access token that Label Studio rejects; the next call of `access` requests another."""
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
    """The time when a JWT expires, in Unix seconds; `math.inf` if it does not say."""
    end = (_claims(token) or {}).get("exp")
    return float(end) if isinstance(end, int | float) else math.inf


def _claims(token: str) -> dict[str, Any] | None:
    """The claims of a JWT, unverified, as only Label Studio can verify them. None if it is not a JWT."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None
