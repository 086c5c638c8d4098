"""Fetch the bytes of one task's image: bounded, and without giving the token to strangers.

Image values come from whoever imported the tasks (facts 19, 21, 29). httpcore, which httpx itself sends
with, is used bare: its network backend is the one place where the address a connection really goes to can
be checked, unpacking a compressed body can be bounded, and httpx logs whole URLs, presigned ones too.
Proxies of the environment are not used: behind a proxy the address would be the proxy's to choose.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import http
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, unquote_to_bytes

import httpcore
import httpx

from pt4al_backend.errors import LabelStudioError, LabelStudioUnavailableError, PT4ALError, UnreadableImageError
from pt4al_backend.label_studio.client import asks_for_password, proxy_asks
from pt4al_backend.net.basic_auth import basic_auth
from pt4al_backend.net.guard import GuardedBackend, ssl_context, timeouts

STORAGE_SCHEMES = ("s3", "gs", "azure-blob")  # what Label Studio's import storages call themselves
RESOLVE = r"/(tasks|projects)/\d+/(resolve|presign)/$"
RETRY_PAUSES = (0.1, 0.5)  # seconds
REDIRECTS = {301, 302, 303, 307, 308}
OVERLOADED = {429, 502, 503, 504}  # says nothing about the image


@dataclass(frozen=True)
class FetchLimits:
    """Bounds of one fetch: body size after unpacking, seconds from first look-up to last byte, hops."""

    bytes: int = 50_000_000
    seconds: float = 30.0
    redirects: int = 5
    private_addresses: bool = True


class ImageFetcher:
    """Fetches image values of one Label Studio's tasks. Any number of threads may share it.

    `credentials()` gives the headers by which Label Studio knows us, or none; it is asked before each request
    to `label_studio_url`'s scheme, host and port, and its answer goes nowhere else. Host name look-ups end by
    the system's own time limit, not by `limits.seconds`.
    """

    def __init__(
        self,
        *,
        label_studio_url: str,
        credentials: Callable[[], Mapping[str, str]],
        limits: FetchLimits,
    ) -> None:
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
        """The bytes behind one image value.

        Raises UnreadableImageError, whose text names the image, says the reason and holds no secrets, and
        LabelStudioUnavailableError when Label Studio itself cannot be reached.
        """
        try:
            return self._fetch(value, task_id=task_id)
        except UnreadableImageError as error:
            name = image_name(value)
            named = unquote(name) in unquote(str(error))
            raise UnreadableImageError(str(error) if named else f"{name}: {error}") from None

    def _fetch(self, value: str, *, task_id: int) -> bytes:
        if isinstance(value, str) and value[:5].lower() == "data:":
            return _data_uri_bytes(value, limit=self._limits.bytes)
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
        """The first URL to ask for an image value."""
        if not isinstance(value, str):
            raise UnreadableImageError(
                f"The task's image is a {type(value).__name__}, not text: give the address of one image."
            )
        value = value.strip()
        home = str(self._home)
        scheme = value.partition(":")[0].lower()
        if value.startswith("//"):
            text = f"{self._home.scheme}:{value}"
        elif value.startswith("/"):
            text = home + self._below_home(value)
        elif scheme in STORAGE_SCHEMES:
            uri = base64.urlsafe_b64encode(value.encode("utf-8", "replace")).decode("ascii")
            text = f"{home}/tasks/{task_id}/resolve/?fileuri={uri}"
        elif scheme in ("http", "https"):
            text = value
        else:
            raise UnreadableImageError(_unknown_kind(value))
        return _parse(text, why=f"{_brief(value)} is not a valid address")

    def _below_home(self, path: str) -> str:
        """`path` without Label Studio's sub-path, which FORCE_SCRIPT_NAME may have put there already."""
        prefix = self._home.path.rstrip("/")
        return path[len(prefix) :] if prefix and path.startswith(prefix + "/") else path

    def _follow(self, first: httpx.URL, *, deadline: float) -> bytes:
        url, trusted = first, True
        for _ in range(self._limits.redirects + 1):
            trusted = trusted and self._is_home(url)  # never again once a stranger chose the URL
            answer = self._ask(url, trusted=trusted, deadline=deadline)
            if isinstance(answer, bytes):
                return answer
            url = answer
        raise UnreadableImageError(f"{self._shown(first)}: more than {self._limits.redirects} redirects.")

    def _ask(self, url: httpx.URL, *, trusted: bool, deadline: float) -> bytes | httpx.URL:
        """One request: the body, or where it redirects to."""
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
                self._check_answer(url, response, trusted=trusted)
                return _read_body(response, limit=self._limits.bytes, name=self._shown(url))
        except httpcore.ConnectTimeout:
            raise self._unreachable(url, "no answer to connecting") from None
        except httpcore.TimeoutException:
            reason = f"took longer than {self._limits.seconds:g} s"
            if not answered and self._is_home(url) and not _is_resolve(url):
                raise self._unreachable(url, reason) from None
            raise UnreadableImageError(f"{self._shown(url)}: {reason}.") from None
        except httpcore.ConnectError as error:
            raise _TransientError(self._unreachable(url, str(error))) from None
        except (httpcore.NetworkError, httpcore.ProtocolError):
            reason = "the connection broke before the answer was complete"
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
        known_by = self._credentials() if trusted else {}
        if not known_by and url.userinfo:
            known_by = {"Authorization": basic_auth(unquote_to_bytes(url.userinfo))}
        return headers + [(name.encode(), value.encode()) for name, value in known_by.items()]

    def _check_answer(self, url: httpx.URL, response: httpcore.Response, *, trusted: bool) -> None:
        """Raise unless this is a 200 that may be an image of acceptable size."""
        status, name, home = response.status, self._shown(url), self._is_home(url)
        is_page = _header(response, "content-type").lower().startswith("text/html")
        if home and not trusted and (status in (401, 403) or (status == 200 and is_page)):
            raise UnreadableImageError(
                f"{name}: Label Studio asks for its token, which is not sent where another address redirects to: "
                f"begin the task's image with {_shown_origin(self._home)}, or with the path alone."
            )
        if status in OVERLOADED and home:
            raise _TransientError(self._unreachable(url, f"it answers {_phrase(status)}"))
        if status == 401 and home and (is_page or asks_for_password(_header(response, "www-authenticate"))):
            raise LabelStudioError(proxy_asks(_shown_origin(self._home), has_login="X-Api-Key" in self._credentials()))
        if status == 401 and home:
            raise LabelStudioError(self._mend(url, status))  # every image would fail: it is not this one's fault
        if status != 200:
            reason = self._mend(url, status) if home else f"{name}: {_phrase(status)}.{self._no_token(status)}"
            error = UnreadableImageError(reason)
            raise _TransientError(error) if status == 429 or status >= 500 else error
        if is_page:
            if home:
                mend = "Label Studio answers with a web page, probably its log-in page: check the token."
            else:
                mend = "a web page, not an image: give the address of the image file itself."
            raise UnreadableImageError(f"{name}: {mend}")
        length = _header(response, "content-length")
        if length.isdigit() and int(length) > self._limits.bytes:
            raise UnreadableImageError(_too_large(name, self._limits.bytes))

    def _mend(self, url: httpx.URL, status: int) -> str:
        """What a status from Label Studio means, and how to mend it (tried on 1.23.2)."""
        answer = f"Label Studio answers {_phrase(status)} for {self._shown(url)}"
        local, resolve = "/data/local-files" in url.path, _is_resolve(url)
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
        """A URL fit for a message: no user, no query; only the path where it is Label Studio's own."""
        path = url.raw_path.decode("ascii")
        return image_name(path if self._is_home(url) else _shown_origin(url) + path)


class _TransientError(Exception):
    """Worth another try; `error` is what to raise when there is none left."""

    def __init__(self, error: PT4ALError) -> None:
        super().__init__(str(error))
        self.error = error


def _read_body(response: httpcore.Response, *, limit: int, name: str) -> bytes:
    """The whole body, unpacked; never holds more than `limit` bytes and one chunk."""
    encoding = _header(response, "content-encoding").lower()
    if encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
        raise UnreadableImageError(f"{name}: sent in an encoding that was not requested.")
    inflate = None if encoding in ("", "identity") else zlib.decompressobj(wbits=47)  # 47: zlib or gzip
    body = bytearray()
    try:
        for chunk in response.iter_stream():
            body += chunk if inflate is None else inflate.decompress(chunk, limit + 1 - len(body))
            if len(body) > limit:
                raise UnreadableImageError(_too_large(name, limit))
    except zlib.error:
        raise UnreadableImageError(f"{name}: its {encoding} compression is damaged.") from None
    if inflate is not None and not inflate.eof:
        raise UnreadableImageError(f"{name}: its {encoding} compression ends too early.")
    return bytes(body)


def _data_uri_bytes(value: str, *, limit: int) -> bytes:
    """The bytes of a data: URI, base64 (padding optional, spaces allowed, as in browsers) or not."""
    head, comma, payload = value[5:].partition(",")
    if not comma:
        raise UnreadableImageError("The data: URI has no comma, so it holds no data.")
    if len(payload) > 4 * limit:  # percent-encoding takes 3 characters per byte
        raise UnreadableImageError(_too_large("The data: URI", limit))
    data = unquote_to_bytes(payload.encode("utf-8", "replace"))
    if head.rstrip().lower().endswith(";base64"):
        digits = b"".join(data.split()).rstrip(b"=")
        try:
            data = base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
        except binascii.Error:
            raise UnreadableImageError("The data: URI is not valid base64.") from None
    if len(data) > limit:
        raise UnreadableImageError(_too_large("The data: URI", limit))
    return data


def _parse(text: str, *, why: str, base: httpx.URL | None = None) -> httpx.URL:
    """An http(s) URL, relative to `base` where there is one. `why` begins the reason if it is none."""
    path = re.split("[?#]", text, maxsplit=1)[0]
    text = path.replace("\\", "/") + text[len(path) :]  # as browsers do
    try:
        url = httpx.URL(text) if base is None else base.join(text)
    except (httpx.InvalidURL, ValueError):  # their texts quote the address, secrets included
        raise UnreadableImageError(f"{why}.") from None
    if url.scheme not in ("http", "https") or not url.host or not 0 < (url.port or 80) < 65536:
        raise UnreadableImageError(f"{why}: only http and https addresses are fetched.")
    return url


def _unknown_kind(value: str) -> str:
    if not value:
        return "The task's image is empty: give the address of an image."
    if value.startswith("["):  # what is no text comes as JSON
        return (
            "The task's image is a list (of several images, or for valueList), and PT4AL learns from one image per "
            "task: import a task for each image, with the address of that one alone."
        )
    if value.startswith("{"):
        return "The task's image is an object, not text: give the address of one image."
    use = "use an upload, an http(s) address, or a storage connected in Label Studio"
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):", value)
    if scheme:
        return f"{scheme[1].lower()}: addresses are not fetched; {use}."
    return f"{_brief(value)} is a bare path, which says not where the image is; {use}."


def _origin(url: httpx.URL) -> tuple[str, bytes, int]:
    return url.scheme, url.raw_host, url.port or (443 if url.scheme == "https" else 80)


def _shown_origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def image_name(value: object) -> str:
    """What people know an image by, fit for a message: the file that an image value leads to, without secrets.

    Where the file stands in the query, as with Local files and where Label Studio resolves a storage, that part of
    it. "" where there is no name: of a data: URI, and of what is no text.
    """
    text = value.strip() if isinstance(value, str) else ""
    if text[:5].lower() == "data:":
        return ""
    path, _, query = text.partition("?")
    if re.search(r"/data/local-files/?$", path):
        file = parse_qs(query).get("d", [""])[0]
        return f"{_brief(path)}?d={_brief(file)}" if file else _brief(path)
    if re.search(RESOLVE, path):
        uri = parse_qs(query).get("fileuri", [""])[0]
        with contextlib.suppress(ValueError):  # it is none of Label Studio's
            return _brief(base64.urlsafe_b64decode(uri).decode()) or _brief(path)
    return _brief(text)


def _brief(text: str) -> str:
    """`text` without query, fragment and user:password, printable and not too long."""
    bare = re.split(r"[?#]|%3[fF]|%23", text, maxsplit=1)[0]
    bare = re.sub(r"(^|//)[^/@]*:(?!\d+/|//)[^@]*@|(?<=//)[^/]*@", r"\1", bare)
    bare = re.sub(r"(//[^/:\[]*):(?!\d*(?:/|$))[^/]*", r"\1", bare)  # what is no port may be half a password
    shown = "".join(letter if letter.isprintable() else " " for letter in bare)
    return shown if len(shown) <= 200 else f"{shown[:200]}…"


def _is_resolve(url: httpx.URL) -> bool:
    return re.search(RESOLVE, url.path) is not None


def _header(response: httpcore.Response, name: str) -> str:
    values = (value for key, value in response.headers if key.lower() == name.encode("ascii"))
    return next(values, b"").decode("utf-8", "replace").strip()


def _phrase(status: int) -> str:
    """ "404 Not Found", in our words: the server's own phrase is not to be trusted."""
    try:
        return f"{status} {http.HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _too_large(name: str, limit: int) -> str:
    return f"{name}: larger than {limit:,} bytes, the limit for one image."
