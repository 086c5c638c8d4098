"""Checks of a request's headers, before any of its body is read: the same under every server.

`processes/web_server.py` runs them as soon as the headers have arrived; under other servers `validation.check` does.
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

FORM_PATHS = "/dashboard/"
"""The addresses that our own forms are sent to begin with this."""

LARGE_BODIES = threading.BoundedSemaphore(4)
"""Held for every request with a large body, from before it is read until the response is complete."""

ADMITTED = "pt4al.admitted"
"""Set in the WSGI environment if the server has run the checks, and holds `LARGE_BODIES` if that is needed."""

_HOSTNAME = socket.gethostname().lower()
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_PRIVATE_IPV4 = ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
_PRIVATE = tuple(map(ipaddress.ip_network, (*_PRIVATE_IPV4, "::1/128", "fc00::/7", "fe80::/10")))
_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".test")
"""Nobody can own such a name on the Internet and point it at this machine (DNS rebinding)."""


def refused(request: Request, settings: Settings) -> Response | None:
    """The refusal, or None if the body may be read and the request answered."""
    try:
        _require_private_client(request, settings)
        _require_known_host(request, settings)
        _require_utf8_query(request)
        if not security.is_allowed(request, settings):
            return security.unauthorized()
        _require_same_origin(request)
        _require_bounded_json(request)
    except RefusedError as error:
        return refusal(error.code, str(error))
    return None


def is_large(request: Request) -> bool:
    """Whether the request needs one of `LARGE_BODIES`."""
    return (request.content_length or 0) > SMALL_BODY


def busy() -> Response:
    """The refusal if all of `LARGE_BODIES` are taken."""
    response = refusal(503, "Other large requests are being read: send this one again in a few seconds.")
    response.headers["Retry-After"] = "5"
    return response


def _require_private_client(request: Request, settings: Settings) -> None:
    """Without a password, only this machine and private networks get a response.

    A proxy may be on a private network while its clients are not; most proxies name their clients.
    """
    if settings.basic_auth_user:
        return
    forwarded = [entry for line in request.headers.getlist("X-Forwarded-For") for entry in line.split(",")]
    if not all(_is_private(address.strip()) for address in (request.remote_addr or "", *forwarded)):
        raise RefusedError(
            403,
            "Without a password, only this machine and private networks get a response: set BASIC_AUTH_USER and "
            "BASIC_AUTH_PASS where pt4al-backend runs.",
        )


def _require_known_host(request: Request, settings: Settings) -> None:
    try:
        name = (urlsplit(f"//{request.environ.get('HTTP_HOST', '')}").hostname or "").rstrip(".")
    except ValueError:
        raise RefusedError(400, "The Host header is wrong: send the name or address of this server.") from None
    if name and not _is_ours(name, settings):
        raise RefusedError(
            403, f"pt4al-backend does not answer to the name {name}: add it to PT4AL_ALLOWED_HOSTS where it runs."
        )


def _require_utf8_query(request: Request) -> None:
    try:
        request.query_string.decode()
    except UnicodeDecodeError:
        raise RefusedError(400, "The address is wrong: encode the part after the question mark as UTF-8.") from None


def _require_same_origin(request: Request) -> None:
    """Browsers say which site's page sends a request. Label Studio's server is not a browser and says nothing."""
    if request.method in _SAFE_METHODS:
        return
    origin = request.headers.get("Origin")
    foreign = origin is not None and origin.partition("://")[2].lower() != request.environ.get("HTTP_HOST", "").lower()
    if foreign or request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
        raise RefusedError(403, "Pages of other sites may not send this request: Label Studio's own server sends it.")


def _require_bounded_json(request: Request) -> None:
    """A body needs a known length, a limited size and the JSON type, which other sites cannot send without asking.

    Our own forms come with a token instead (`csrf`).
    """
    if "Transfer-Encoding" in request.headers:
        raise RefusedError(411, "The length of the body is missing: send Content-Length.")
    length = request.content_length or 0
    if length > SMALL_BODY and request.path not in LARGE_BODY_PATHS:
        raise RefusedError(413, f"The body is larger than {SMALL_BODY >> 10} kB, the limit of this address: send less.")
    if length > LARGEST_BODY:
        raise RefusedError(413, f"The body is larger than {LARGEST_BODY >> 20} MB: send fewer tasks at a time.")
    is_form = request.path.startswith(FORM_PATHS) and request.mimetype == "application/x-www-form-urlencoded"
    if length and request.method not in _SAFE_METHODS and not request.is_json and not is_form:
        raise RefusedError(415, "The body is not marked as JSON: send Content-Type: application/json.")


def _is_private(address: str) -> bool:
    if not address:
        return True  # a Unix socket
    try:
        client = ipaddress.ip_address(address)
    except ValueError:
        return False
    client = getattr(client, "ipv4_mapped", None) or client
    return any(client in network for network in _PRIVATE)


def _is_ours(name: str, settings: Settings) -> bool:
    """Whether the settings allow a host name, or no stranger can own it."""
    allowed = [pattern.strip().lower() for pattern in settings.allowed_hosts.split(",") if pattern.strip()]
    if not allowed and settings.basic_auth_user:
        return True  # a page that reaches us by DNS rebinding does not know the password
    if any(pattern in ("*", name) or (pattern.startswith(".") and name.endswith(pattern)) for pattern in allowed):
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
