"""Basic auth and response headers, the same on both SDK generations."""

from __future__ import annotations

import base64
import binascii
import hmac

from flask import Request, Response

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.web.refusals import refusal

OPEN_PATHS = frozenset({"/health"})
"""Paths that load balancers and Label Studio request without a password."""

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def check_settings(settings: Settings) -> None:
    """Reject a user name without a password and a password without a user name: either would protect nothing.

    Raises:
        PT4ALError: Only one of them is set.
    """
    if bool(settings.basic_auth_user) != bool(settings.basic_auth_pass.get_secret_value()):
        raise PT4ALError("Set both BASIC_AUTH_USER and BASIC_AUTH_PASS, or neither.")


def is_allowed(request: Request, settings: Settings) -> bool:
    """Whether a request carries the user name and password, if they are set."""
    if not settings.basic_auth_user or request.path in OPEN_PATHS:
        return True
    expected = f"{settings.basic_auth_user}:{settings.basic_auth_pass.get_secret_value()}"
    credentials = _credentials(request.headers.get("Authorization", ""))
    # Clients encode them as UTF-8 or, like the one in Label Studio, as Latin-1.
    as_utf8 = hmac.compare_digest(credentials, expected.encode())
    as_latin1 = hmac.compare_digest(credentials, expected.encode("latin-1", "backslashreplace"))
    return as_utf8 or as_latin1


def unauthorized() -> Response:
    """The 401 response that makes a browser ask for the password."""
    response = refusal(401, "The password is missing or wrong: Label Studio's form for the model has a field for it.")
    response.headers["WWW-Authenticate"] = 'Basic realm="pt4al-backend", charset="UTF-8"'
    return response


def add_headers(response: Response) -> Response:
    """Forbid loading from elsewhere, framing, sniffing and caching."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _credentials(header: str) -> bytes:
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return b""
