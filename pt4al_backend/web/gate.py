"""What a request's headers decide, before a byte of its body is read: the same under every server.

`processes/web_server.py` asks as soon as the headers are there; under other servers `validation.check` does.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from urllib.parse import urlsplit

from flask import Request, Response

from pt4al_backend.settings import Settings
from pt4al_backend.web import security
from pt4al_backend.web.refusals import RefusedError, refusal

SMALL_BODY = 64 * 2**10
LARGEST_BODY = 64 * 2**20
LARGE_BODY_PATHS = frozenset({"/setup", "/predict", "/webhook"})

LARGE_BODIES = threading.BoundedSemaphore(4)
"""Held for every request with more than a small body, from before it is read until it is answered."""

ADMITTED = "pt4al.admitted"
"""Set in the WSGI environment where the server has asked, and holds `LARGE_BODIES` where that is needed."""

_HOSTNAME = socket.gethostname().lower()
_CHANGES_NOTHING = frozenset({"GET", "HEAD", "OPTIONS"})
_IPV4_NEAR = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
_NEAR = tuple(map(ipaddress.ip_network, (*_IPV4_NEAR, "::1/128", "fc00::/7", "fe80::/10")))
_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".test")
"""Nobody can own a name under these on the Internet and make it lead here (DNS rebinding)."""


def refused(request: Request, settings: Settings) -> Response | None:
    """The refusal, or None where the body may be read and the request answered."""
    try:
        _require_neighbour(request, settings)
        _require_known_name(request, settings)
        _require_text(request)
        if not security.is_allowed(request, settings):
            return security.unauthorized()
        _require_own_page(request)
        _require_bounded_json(request)
    except RefusedError as error:
        return refusal(error.code, str(error))
    return None


def is_large(request: Request) -> bool:
    """Whether the request needs one of `LARGE_BODIES`."""
    return (request.content_length or 0) > SMALL_BODY


def busy() -> Response:
    """The refusal where all of `LARGE_BODIES` are taken."""
    answer = refusal(503, "Other large requests are being read: send this one again in some seconds.")
    answer.headers["Retry-After"] = "5"
    return answer


def _require_neighbour(request: Request, settings: Settings) -> None:
    """Without a password only this machine and private networks are answered.

    A proxy may be near while those it asks for are not; most proxies say for whom they ask.
    """
    if settings.basic_auth_user:
        return
    forwarded = [entry for line in request.headers.getlist("X-Forwarded-For") for entry in line.split(",")]
    if not all(_is_near(address.strip()) for address in (request.remote_addr or "", *forwarded)):
        raise RefusedError(
            403,
            "Without a password only this machine and private networks are answered: set BASIC_AUTH_USER and "
            "BASIC_AUTH_PASS where pt4al-backend runs.",
        )


def _require_known_name(request: Request, settings: Settings) -> None:
    try:
        name = (urlsplit(f"//{request.environ.get('HTTP_HOST', '')}").hostname or "").rstrip(".")
    except ValueError:
        raise RefusedError(400, "The Host header is wrong: send the address that is asked.") from None
    if name and not _is_ours(name, settings):
        raise RefusedError(
            403, f"pt4al-backend does not answer to the name {name}: add it to PT4AL_ALLOWED_HOSTS where it runs."
        )


def _require_text(request: Request) -> None:
    try:
        request.query_string.decode()
    except UnicodeDecodeError:
        raise RefusedError(400, "The address is wrong: send what follows the question mark as UTF-8.") from None


def _require_own_page(request: Request) -> None:
    """Browsers say whose page sends a request. Label Studio's server is no browser and says nothing."""
    if request.method in _CHANGES_NOTHING:
        return
    origin = request.headers.get("Origin")
    foreign = origin is not None and origin.partition("://")[2].lower() != request.environ.get("HTTP_HOST", "").lower()
    if foreign or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise RefusedError(403, "Pages of other sites may not send this: Label Studio's own server does.")


def _require_bounded_json(request: Request) -> None:
    """Of known length, not too large, and said to be JSON: pages of other sites may not say so without asking."""
    if "Transfer-Encoding" in request.headers:
        raise RefusedError(411, "The length of the body is missing: send Content-Length.")
    length = request.content_length or 0
    if length > SMALL_BODY and request.path not in LARGE_BODY_PATHS:
        raise RefusedError(413, f"The body is larger than {SMALL_BODY >> 10} kB, which is all this address takes.")
    if length > LARGEST_BODY:
        raise RefusedError(413, f"The body is larger than {LARGEST_BODY >> 20} MB: send fewer tasks at a time.")
    if length and request.method not in _CHANGES_NOTHING and not request.is_json:
        raise RefusedError(415, "The body is not said to be JSON: send Content-Type: application/json.")


def _is_near(address: str) -> bool:
    if not address:
        return True  # the socket is a file
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found in network for network in _NEAR)


def _is_ours(name: str, settings: Settings) -> bool:
    """Whether we were told so, or no stranger can own the name."""
    named = [pattern.strip().lower() for pattern in settings.allowed_hosts.split(",") if pattern.strip()]
    if not named and settings.basic_auth_user:
        return True  # a page that reaches us by a name of its own still does not know the password
    if any(pattern in ("*", name) or (pattern.startswith(".") and name.endswith(pattern)) for pattern in named):
        return True
    return (
        "." not in name
        or name in (_HOSTNAME, settings.host.lower())
        or name.endswith(_LOCAL_NAMES)
        or _is_address(name)
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
