"""Fetches the image of one task within limits, and without sending the token to other hosts.

Image values come from whoever imported the tasks (facts 19, 21, 29). This module uses httpcore, the layer below httpx:
only its network backend can check the address that a connection really goes to, decompressing a body can be bounded,
and httpx logs whole URLs, also presigned ones. Proxies of the environment are not used, because a proxy would choose
the address.
"""

from __future__ import annotations

import http
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, unquote_to_bytes

import httpcore
import httpx

from pt4al_backend.errors import LabelStudioError, LabelStudioUnavailableError, PT4ALError, UnreadableImageError
from pt4al_backend.label_studio.client import asks_for_password, proxy_asks
from pt4al_backend.label_studio.image_values import (
    STORAGE_SCHEMES,
    data_uri_bytes,
    image_name,
    is_data_uri,
    is_resolve_path,
    not_an_address,
    resolve_path,
    too_large,
    without_secrets,
)
from pt4al_backend.net.basic_auth import basic_auth
from pt4al_backend.net.guard import GuardedBackend, ssl_context, timeouts

RETRY_PAUSES = (0.1, 0.5)  # seconds
REDIRECTS = {301, 302, 303, 307, 308}
OVERLOADED = {429, 502, 503, 504}
"""Statuses that say nothing about the image."""


@dataclass(frozen=True)
class FetchLimits:
    """The bounds of one fetch."""

    bytes: int = 50_000_000
    """Size of the body after decompression."""
    seconds: float = 30.0
    """Time from the first look-up to the last byte."""
    redirects: int = 5
    private_addresses: bool = True
    """Whether hosts other than Label Studio may be at private addresses."""


class ImageFetcher:
    """Fetches the image values of one Label Studio's tasks. Any number of threads may share it.

    The system's own time limit applies to the look-up of host names, not `limits.seconds`.
    """

    def __init__(
        self,
        *,
        label_studio_url: str,
        credentials: Callable[[], Mapping[str, str]],
        limits: FetchLimits,
    ) -> None:
        """
        Args:
            label_studio_url: the address of Label Studio.
            credentials: returns the headers that authenticate a request to Label Studio, if any. Called before each
                request to the scheme, host and port of `label_studio_url`; the headers go nowhere else.
            limits: the bounds of each fetch.
        """
        self._home = httpx.URL(label_studio_url.rstrip("/"))
        self._credentials = credentials
        self._limits = limits
        _, host, port = _origin(self._home)
        self._pool = httpcore.ConnectionPool(
            ssl_context=ssl_context(),
            max_connections=64,
            max_keepalive_connections=16,
            keepalive_expiry=5.0,
            network_backend=GuardedBackend(
                home=(host.decode("ascii"), port), private_addresses=limits.private_addresses
            ),
        )

    def fetch(self, value: str, *, task_id: int) -> bytes:
        """The bytes of the image that an image value leads to.

        Raises:
            UnreadableImageError: with the image's name and the reason, and without secrets.
            LabelStudioUnavailableError: Label Studio itself cannot be reached.
            LabelStudioError: Label Studio, or a proxy in front of it, rejects the token.
        """
        try:
            return self._fetch(value, task_id=task_id)
        except UnreadableImageError as error:
            name = image_name(value)
            named = unquote(name) in unquote(str(error))
            raise UnreadableImageError(str(error) if named else f"{name}: {error}") from None

    def _fetch(self, value: str, *, task_id: int) -> bytes:
        if isinstance(value, str) and is_data_uri(value):
            return data_uri_bytes(value, limit=self._limits.bytes)
        url = self._locate(value, task_id=task_id)
        deadline = time.monotonic() + self._limits.seconds
        pauses = iter(RETRY_PAUSES)
        while True:
            try:
                return self._follow(url, deadline=deadline)
            except _TransientError as failure:
                pause = next(pauses, None)
                if pause is None or time.monotonic() + pause >= deadline:
                    raise failure.error from None
                time.sleep(pause)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def _locate(self, value: object, *, task_id: int) -> httpx.URL:
        """The first URL to request for an image value."""
        if not isinstance(value, str):
            raise UnreadableImageError(not_an_address(value))
        value = value.strip()
        home = str(self._home)
        scheme = value.partition(":")[0].lower()
        if value.startswith("//"):
            text = f"{self._home.scheme}:{value}"
        elif value.startswith("/"):
            text = home + self._below_home(value)
        elif scheme in STORAGE_SCHEMES:
            text = home + resolve_path(value, task_id=task_id)
        elif scheme in ("http", "https"):
            text = value
        else:
            raise UnreadableImageError(not_an_address(value))
        return _parse(text, why=f"{without_secrets(value)} is not a valid address")

    def _below_home(self, path: str) -> str:
        """`path` without Label Studio's sub-path, which FORCE_SCRIPT_NAME may have added already."""
        prefix = self._home.path.rstrip("/")
        return path[len(prefix) :] if prefix and path.startswith(prefix + "/") else path

    def _follow(self, first: httpx.URL, *, deadline: float) -> bytes:
        url, trusted = first, True
        for _ in range(self._limits.redirects + 1):
            trusted = trusted and self._is_home(url)  # never again once another host chose the URL
            received = self._request(url, trusted=trusted, deadline=deadline)
            if isinstance(received, bytes):
                return received
            url = received
        raise UnreadableImageError(f"{self._shown(first)}: more than {self._limits.redirects} redirects.")

    def _request(self, url: httpx.URL, *, trusted: bool, deadline: float) -> bytes | httpx.URL:
        """One request. Returns the body, or the URL that it redirects to."""
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = self._headers(url, trusted=trusted)
        answered = False
        try:
            with self._pool.stream(
                "GET", target, headers=headers, extensions={"timeout": timeouts(deadline)}
            ) as response:
                answered = True
                location = _header(response, "location")
                if response.status in REDIRECTS and location:
                    return _parse(location, base=url, why=f"{self._shown(url)} redirects to no valid address")
                self._check_response(url, response, trusted=trusted)
                return _read_body(response, limit=self._limits.bytes, name=self._shown(url))
        except httpcore.ConnectTimeout:
            raise self._unreachable(url, "no answer to connecting") from None
        except httpcore.TimeoutException:
            reason = f"took longer than {self._limits.seconds:g} s"
            if not answered and self._is_home(url) and not is_resolve_path(url.path):
                raise self._unreachable(url, reason) from None
            raise UnreadableImageError(f"{self._shown(url)}: {reason}.") from None
        except httpcore.ConnectError as error:
            raise _TransientError(self._unreachable(url, str(error))) from None
        except (httpcore.NetworkError, httpcore.ProtocolError):
            reason = "the connection broke before the response was complete"
            if not answered:
                raise _TransientError(self._unreachable(url, reason)) from None
            raise _TransientError(UnreadableImageError(f"{self._shown(url)}: {reason}.")) from None

    def _headers(self, url: httpx.URL, *, trusted: bool) -> list[tuple[bytes, bytes]]:
        # Accept stays open: Django REST framework answers 406 to image/*.
        headers = [
            (b"Host", url.netloc),
            (b"User-Agent", b"pt4al-backend"),
            (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"),
        ]
        credentials = self._credentials() if trusted else {}
        if not credentials and url.userinfo:
            credentials = {"Authorization": basic_auth(unquote_to_bytes(url.userinfo))}
        return headers + [(name.encode(), value.encode()) for name, value in credentials.items()]

    def _check_response(self, url: httpx.URL, response: httpcore.Response, *, trusted: bool) -> None:
        """Raise unless the response is a 200 that may be an image of permitted size."""
        status, name, home = response.status, self._shown(url), self._is_home(url)
        is_page = _header(response, "content-type").lower().startswith("text/html")
        if home and not trusted and (status in (401, 403) or (status == 200 and is_page)):
            raise UnreadableImageError(
                f"{name}: Label Studio asks for its token, which is not sent when another address redirects to it: "
                f"begin the task's image with {_shown_origin(self._home)}, or give only the path."
            )
        if status in OVERLOADED and home:
            raise _TransientError(self._unreachable(url, f"it answers {_phrase(status)}"))
        if status == 401 and home and (is_page or asks_for_password(_header(response, "www-authenticate"))):
            raise LabelStudioError(proxy_asks(_shown_origin(self._home), has_login="X-Api-Key" in self._credentials()))
        if status == 401 and home:
            raise LabelStudioError(self._advice(url, status))  # every image would fail: the cause is not this one
        if status != 200:
            reason = self._advice(url, status) if home else f"{name}: {_phrase(status)}.{self._no_token(status)}"
            error = UnreadableImageError(reason)
            raise _TransientError(error) if status == 429 or status >= 500 else error
        if is_page:
            if home:
                advice = "Label Studio answers with a web page, probably its log-in page: check the token."
            else:
                advice = "a web page, not an image: give the address of the image file itself."
            raise UnreadableImageError(f"{name}: {advice}")
        length = _header(response, "content-length")
        if length.isdigit() and int(length) > self._limits.bytes:
            raise UnreadableImageError(too_large(name, self._limits.bytes))

    def _advice(self, url: httpx.URL, status: int) -> str:
        """What a status from Label Studio means, and how to fix it (tried with 1.23.2)."""
        answer = f"Label Studio answers {_phrase(status)} for {self._shown(url)}"
        local, resolve = "/data/local-files" in url.path, is_resolve_path(url.path)
        if status == 401:
            return f"{answer}: its token is missing, wrong or expired; set LABEL_STUDIO_API_KEY."
        if status == 403 and local:
            return (
                f"{answer}: start it with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and "
                "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT."
            )
        if status == 403:
            return f"{answer}: the token's user may not see it; make that user a member of the project."
        if status == 404 and local:
            return (
                f"{answer}: no such file below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, or no Local files "
                "storage of this project covers its folder; add one in the project's Cloud Storage settings."
            )
        if resolve and status in (404, 424):
            return f"{answer}: check the project's storage connection in its Cloud Storage settings."
        if status in (404, 500) and "/data/upload/" in url.path:
            return f"{answer}: the uploaded file is gone; import it again."  # a missing upload is a 500
        return f"{answer}."

    def _no_token(self, status: int) -> str:
        if status not in (401, 403):
            return ""
        return f" The Label Studio token is only sent to {_shown_origin(self._home)}."

    def _unreachable(self, url: httpx.URL, why: str) -> PT4ALError:
        if self._is_home(url):
            return LabelStudioUnavailableError(f"Label Studio at {_shown_origin(self._home)} cannot be reached: {why}.")
        return UnreadableImageError(f"{self._shown(url)}: cannot be reached: {why}.")

    def _is_home(self, url: httpx.URL) -> bool:
        return _origin(url) == _origin(self._home)

    def _shown(self, url: httpx.URL) -> str:
        """A URL for messages, without user and query; only the path if it is Label Studio's."""
        path = url.raw_path.decode("ascii")
        return image_name(path if self._is_home(url) else _shown_origin(url) + path)


class _TransientError(Exception):
    """A failure that another attempt may overcome; `error` is raised after the last one."""

    def __init__(self, error: PT4ALError) -> None:
        super().__init__(str(error))
        self.error = error


def _read_body(response: httpcore.Response, *, limit: int, name: str) -> bytes:
    """The whole body, decompressed; never keeps more than `limit` bytes and one chunk."""
    encoding = _header(response, "content-encoding").lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise UnreadableImageError(f"{name}: sent in an encoding that was not requested.")
    inflate = None if encoding in ("", "identity") else zlib.decompressobj(wbits=47)  # 47: zlib or gzip
    body = bytearray()
    try:
        for chunk in response.iter_stream():
            body += chunk if inflate is None else inflate.decompress(chunk, limit + 1 - len(body))
            if len(body) > limit:
                raise UnreadableImageError(too_large(name, limit))
    except zlib.error:
        raise UnreadableImageError(f"{name}: its {encoding} compression is damaged.") from None
    if inflate is not None and not inflate.eof:
        raise UnreadableImageError(f"{name}: its {encoding} compression ends too early.")
    return bytes(body)


def _parse(text: str, *, why: str, base: httpx.URL | None = None) -> httpx.URL:
    """An http(s) URL, relative to `base` if given. `UnreadableImageError`, beginning with `why`, if it is not one."""
    path = re.split("[?#]", text, maxsplit=1)[0]
    text = path.replace("\\", "/") + text[len(path) :]  # as browsers do
    try:
        url = httpx.URL(text) if base is None else base.join(text)
    except (httpx.InvalidURL, ValueError):  # their texts quote the address with its secrets
        raise UnreadableImageError(f"{why}.") from None
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) < 65536:
        raise UnreadableImageError(f"{why}: only http and https addresses are fetched.")
    return url


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80)


def _shown_origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _header(response: httpcore.Response, name: str) -> str:
    values = (value for key, value in response.headers if key.lower() == name.encode("ascii"))
    return next(values, b"").decode("utf-8", "replace").strip()


def _phrase(status: int) -> str:
    """The status with its standard phrase, as in "404 Not Found": the server's own phrase is not trusted."""
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
