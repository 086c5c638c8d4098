"""Tokens in our own forms: a page of another site cannot know one, so it cannot send a form in a reader's name."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from itsdangerous import BadSignature, URLSafeTimedSerializer

from pt4al_backend.web.context import context
from pt4al_backend.web.refusals import RefusedError

VALID_FOR = 24 * 3600
"""Seconds for which a page's forms can be sent."""
KEY_FILE = "form-key"
"""Of the data directory, so that a page from before a restart stays usable."""


def token() -> str:
    """A token for the forms of a page."""
    return str(_serializer().dumps("form"))


def require(given: str) -> None:
    """Check the token that a form came with.

    Raises:
        RefusedError: It is missing, forged or too old.
    """
    try:
        _serializer().loads(given, max_age=VALID_FOR)
    except BadSignature:
        raise RefusedError(403, "This page is out of date: reload it, then try again.") from None


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(_key(context().settings.data_dir / KEY_FILE), salt="pt4al-form")


def _key(path: Path) -> str:
    """The key in the file, which the first process to need one creates, readable for this user only."""
    with contextlib.suppress(FileExistsError):
        unfinished = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(unfinished, "w") as file:
            file.write(secrets.token_hex())
    return path.read_text()
