"""Basic authentication (RFC 7617), as a client does it."""

from __future__ import annotations

import base64


def basic_auth(login: str | bytes) -> str:
    """The value of the `Authorization` header for `user:password`; text is encoded as UTF-8."""
    content = login.encode() if isinstance(login, str) else login
    return f"Basic {base64.b64encode(content).decode()}"
