"""Requests to one Label Studio: its token goes only to its host, and every failure becomes a sentence.

label-studio-sdk is not used: its typed methods lack what PT4AL needs most (the total of a task list, prediction
versions), and reading plain JSON keeps all errors in one place.
"""

from __future__ import annotations

import http.cookiejar
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpx

from pt4al_backend.errors import LabelStudioError, LabelStudioRefusedError, LabelStudioUnavailableError
from pt4al_backend.label_studio.tokens import PersonalToken, is_personal
from pt4al_backend.net.basic_auth import basic_auth
from pt4al_backend.net.guard import GuardedTransport, ssl_context
from pt4al_backend.settings import Settings

CONNECT_SECONDS = 3.0
READ_SECONDS = 30.0
NOT_NOW = {408, 423, 425, 429, 500, 502, 503, 504}
"""Statuses that say nothing about the request."""
NEEDS_LEGACY = (
    "needs the header that a personal access token takes: set LABEL_STUDIO_API_KEY to a legacy token, "
    "or let the proxy ask for no password below /api/, /data/ and /tasks/"
)
REFRESH = "api/token/refresh/"
BEARER = "Bearer "
OF_A_PROJECT = {"title", "label_config"}
"""Only a Label Studio sends these."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")

for _name in ("httpx", "httpcore"):  # both log every URL at INFO
    logging.getLogger(_name).setLevel(logging.WARNING)


class LabelStudioClient:
    """Talks to the Label Studio at `url` with `token`, a personal access token or a legacy token.

    Any number of threads may share it. It follows no redirects, keeps no cookies, and uses no proxy of the environment
    for addresses of this machine.
    """

    def __init__(self, url: str, token: str, *, login: str = "", stranger: bool = False) -> None:
        """
        Args:
            url: the address of Label Studio.
            token: a personal access token or a legacy token.
            login: `user:password` for a proxy in front of Label Studio.
            stranger: whether anybody may have chosen the address. Then connections are guarded, proxies of the
                environment are not used, and nothing from a response is shown before the server has proved to be a
                Label Studio.

        Raises:
            LabelStudioError: address or token cannot work; this is checked without sending them.
        """
        self.url = _plain(url)
        if not token.strip():
            raise LabelStudioError(
                f"There is no token for {self.url}: set LABEL_STUDIO_API_KEY to a personal access token, "
                "which Label Studio makes under Account & Settings."
            )
        self._token = token.strip()
        if login and is_personal(self._token):
            raise LabelStudioError(f"The password in LABEL_STUDIO_URL {NEEDS_LEGACY}.")
        self._personal = PersonalToken(self._token, self._exchange) if is_personal(self._token) else None
        self._login = login
        self._known: set[Any] | None = set() if stranger else None
        """Addresses that have proved to be a Label Studio; None: every address counts as one."""
        self._http = httpx.Client(
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            follow_redirects=False,
            verify=ssl_context(),
            cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            mounts={f"all://{host}": None for host in LOOPBACK} if not stranger else {},
            transport=None if self._known is None else GuardedTransport(self._known),
            event_hooks={"response": [self._refuse_errors]},
        )

    @classmethod
    def of(cls, url: str, access_token: str, settings: Settings) -> LabelStudioClient:
        """A client for an address from the settings, or from a /setup that brought `access_token`.

        The token and the password of the settings go only to the settings' Label Studio.
        """
        ours = url.rstrip("/") == settings.label_studio_url
        login = settings.label_studio_login.get_secret_value() if ours else ""
        return cls(url, token_for(url, access_token, settings), login=login, stranger=not ours)

    def __repr__(self) -> str:
        return f"LabelStudioClient({self.url!r})"

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        seconds: float = READ_SECONDS,
    ) -> Any:
        """Send a request to a path below the URL, such as `api/projects/3`.

        Returns:
            The decoded response, None if it has no body.

        Raises:
            LabelStudioUnavailableError: Label Studio cannot answer now.
            LabelStudioRefusedError: Label Studio refuses the request.
            LabelStudioError: the server does not seem to be a Label Studio.
        """
        credentials = self.credentials()
        try:
            return self._request(method, path, credentials, params=params, json=json, seconds=seconds)
        except LabelStudioRefusedError as error:
            if error.status != 401 or self._personal is None:
                raise
        # The access token may have expired by Label Studio's clock, but not yet by this machine's.
        self._personal.refused(credentials["Authorization"].removeprefix(BEARER))
        return self._request(method, path, self.credentials(), params=params, json=json, seconds=seconds)

    def credentials(self) -> dict[str, str]:
        """The headers that authenticate requests now. They must go only to `url`'s host."""
        if self._personal is not None:
            return {"Authorization": f"{BEARER}{self._personal.access()}"}
        if self._login:  # X-Api-Key also takes a legacy token (fact 39)
            return {"Authorization": basic_auth(self._login), "X-Api-Key": self._token}
        return {"Authorization": f"Token {self._token}"}

    def _exchange(self, token: str) -> str:
        """An access token for a personal access token (fact 19)."""
        with self._sentences():
            request = self._http.build_request("POST", f"{self.url}/{REFRESH}", json={"refresh": token})
            access = self._send(request, again=True).json()["access"]
            if not isinstance(access, str):
                raise TypeError
        return access

    def _request(
        self,
        method: str,
        path: str,
        credentials: Mapping[str, str],
        *,
        params: Mapping[str, Any] | None,
        json: Any,
        seconds: float,
    ) -> Any:
        headers = {**credentials, "Accept": "application/json"}
        timeout = httpx.Timeout(seconds, connect=CONNECT_SECONDS)
        with self._sentences():
            request = self._http.build_request(
                method, f"{self.url}/{path}", params=params, json=json, headers=headers, timeout=timeout
            )
            response = self._send(request, again=method != "POST")  # Label Studio may have handled it already
            answer = response.json() if response.content else None
        if self._known is not None and isinstance(answer, dict) and answer.keys() >= OF_A_PROJECT:
            self._known.add(response.extensions["server"])
        return answer

    def _send(self, request: httpx.Request, *, again: bool) -> httpx.Response:
        """The response. `again`: whether to send the request again if the connection ends without one.

        A server may close an idle connection just when it is used again.
        """
        try:
            return self._http.send(request)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            if not again:
                raise
            return self._http.send(request)

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        """Turn whatever httpx and malformed responses raise into our errors, without passing on their texts."""
        try:
            yield
        except httpx.TimeoutException:
            raise LabelStudioUnavailableError(f"Label Studio at {self.url} takes too long to answer.") from None
        except httpx.TransportError as error:
            raise LabelStudioUnavailableError(self._no_connection(str(error))) from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise LabelStudioError(f"{self.url} is not an address of a Label Studio: fix LABEL_STUDIO_URL.") from None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise LabelStudioError(
                f"The server at {self.url} does not behave like Label Studio: "
                "check LABEL_STUDIO_URL, and whether a proxy in between asks to log in."
            ) from None

    def _no_connection(self, reason: str) -> str:
        start = f"Label Studio at {self.url} cannot be reached"
        if "CERTIFICATE_VERIFY_FAILED" in reason:
            return f"{start}: its certificate is not trusted; set SSL_CERT_FILE to the authority that signed it."
        if "SSL" in reason or "TLS" in reason:
            return f"{start} by https: does it use http? Fix LABEL_STUDIO_URL."
        if "Name or service not known" in reason or "name resolution" in reason or "nodename" in reason:
            return f"{start}: there is no host of that name; fix LABEL_STUDIO_URL."
        if "disconnected" in reason:
            return f"{start}: the connection was closed without an answer; does it use https?"
        host = httpx.URL(self.url).host
        if host in ("localhost", "127.0.0.1", "::1"):
            return f"{start}: is it running? In a container, localhost is the container itself: use the host's name."
        return f"{start}: is it running, and is the address right?"

    def _refuse_errors(self, response: httpx.Response) -> None:
        """Check every response before anything else sees it."""
        if response.is_redirect:
            raise LabelStudioError(self._redirected(response))
        if response.status_code < 400:
            return
        response.read()
        status, detail = response.status_code, self._detail(response)
        if status == 401 and (detail is None or asks_for_password(response.headers.get("WWW-Authenticate", ""))):
            raise LabelStudioError(proxy_asks(self.url, has_login=bool(self._login)))
        if status in NOT_NOW:
            reason = f"HTTP {status}: {detail}" if detail and self._is_known(response) else f"HTTP {status}"
            message = f"Label Studio at {self.url} cannot answer now ({reason})."
            raise LabelStudioUnavailableError(message, status=status)
        if status == 401:
            raise LabelStudioRefusedError(_unauthorized(response, detail), status=status)
        if detail is None:
            raise LabelStudioError(
                f"There is no Label Studio at {self.url} (HTTP {status}): check LABEL_STUDIO_URL, "
                "and whether a proxy in between refuses the request."
            )
        if status == 403 and "network address" not in detail:
            detail = "the token's user may not do this; use the token of a user who may change the project"
        elif not self._is_known(response):
            detail = "the reason is shown once the server has proved to be a Label Studio"
        raise LabelStudioRefusedError(f"Label Studio refuses (HTTP {status}): {detail}", status=status)

    def _is_known(self, response: httpx.Response) -> bool:
        """Whether this very address has proved to be a Label Studio; the host name may lead to others."""
        return self._known is None or response.extensions["server"] in self._known

    def _redirected(self, response: httpx.Response) -> str:
        if not self._is_known(response):
            return f"{self.url} redirects to another address, where the token is not sent: set LABEL_STUDIO_URL to it"
        target = response.url.join(response.headers.get("location", "")).copy_with(query=None, fragment=None)
        path = response.url.path.removeprefix(httpx.URL(self.url).path.rstrip("/")).rstrip("/")
        base, match, _ = str(target).partition(path)
        advice = f"set LABEL_STUDIO_URL to {base}" if match else "does a proxy in between ask to log in?"
        return f"{self.url} redirects to {target}, where the token is not sent: {advice}"

    def _detail(self, response: httpx.Response) -> str | None:
        """Label Studio's explanation of an error, on one short line; None if the response is not Label Studio's."""
        try:
            body = response.json()
        except ValueError:
            return None
        if not isinstance(body, dict) or not body.keys() & {"detail", "validation_errors"}:
            return None
        text = " ".join(str(body.get("validation_errors") or body.get("detail")).split())
        return text.replace(self._token, "...")[:300]


def _plain(url: str) -> str:
    """The address without a trailing slash. `LabelStudioError` if it cannot work or would show a password."""
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        parts = httpx.URL("")
    if parts.scheme not in ("http", "https") or not parts.host or parts.userinfo or parts.query:
        raise LabelStudioError(
            "LABEL_STUDIO_URL has to be an address such as https://label-studio.example.com, "
            "with neither a user name nor a query in it."
        )
    return url.rstrip("/")


def token_for(url: str, access_token: str, settings: Settings) -> str:
    """The token for the Label Studio at `url`: the settings' token if they name that one, otherwise its /setup's."""
    ours = settings.label_studio_api_key.get_secret_value()
    return ours if ours and url.rstrip("/") == settings.label_studio_url else access_token


def asks_for_password(challenge: str) -> bool:
    """Whether a WWW-Authenticate header comes from a proxy: Label Studio asks for a token."""
    return challenge.lstrip()[:5].lower() == "basic"


def proxy_asks(url: str, *, has_login: bool) -> str:
    """The message about a proxy that asks for a password."""
    if has_login:
        return (
            f"The proxy in front of Label Studio at {url} rejects the user name or the password: "
            "fix http://user:password@host in LABEL_STUDIO_URL."
        )
    return (
        f"A proxy in front of Label Studio at {url} asks to log in. Put a user name and password into "
        f"LABEL_STUDIO_URL, as in http://user:password@host. The password {NEEDS_LEGACY}."
    )


def _unauthorized(response: httpx.Response, detail: str | None) -> str:
    make_new = "make one in Label Studio under Account & Settings, Personal Access Token"
    if response.url.path.endswith(REFRESH):
        return f"The personal access token is wrong or was revoked: {make_new}, and set LABEL_STUDIO_API_KEY to it."
    if detail and "legacy token" in detail:
        return (
            "Legacy tokens are switched off in this Label Studio: set LABEL_STUDIO_API_KEY to a personal access "
            f"token ({make_new}), or switch them on under Organization, API Tokens Settings."
        )
    return f"Label Studio does not know the token: {make_new}, and set LABEL_STUDIO_API_KEY to it."
