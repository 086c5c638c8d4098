"""Connections that go only where they may, and end in time.

httpcore's network backend is the one place where the address a connection really goes to is known:
a name is looked up once, every address is checked, and that very address is connected to.
"""

from __future__ import annotations

import functools
import ipaddress
import socket
import ssl
import time
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import httpcore
import httpx

from pt4al_backend.errors import LabelStudioError, PT4ALError, UnreadableImageError

CONNECT_SECONDS = 10.0  # a host that swallows packets must not cost the whole time limit
LARGEST_ANSWER = 256 * 2**20  # bytes; a page of painted photos may take a fifth of that ...
FIRST_ANSWER = 4 * 2**20  # ... and what has to be known of a project before, much less
METADATA_ADDRESSES = {  # cloud metadata services that are not link-local
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
}
EMBEDDING = (  # IPv6 networks whose last 32 bits are an IPv4 address: NAT64, also of a site's own, and "compatible"
    *map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")),
)
THIS_HOST = ipaddress.ip_network("0.0.0.0/8")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class GuardedBackend(httpcore.NetworkBackend):
    """Resolves a host, checks the address and connects to that very address, so no second look-up can
    give another one (DNS rebinding). TLS still checks the certificate against the host's name.

    httpcore hands the timeouts of a request through untouched. Here they are points in time on the
    monotonic clock, so that a server that drips one byte per read cannot stretch the limit.
    """

    def __init__(
        self,
        *,
        private_addresses: bool,
        home: tuple[str, int] | None = None,
        refused: type[PT4ALError] = UnreadableImageError,
    ) -> None:
        """`home`: host and port that may be at a private address in any case; `refused`: what is raised."""
        self._home = home
        self._private_addresses = private_addresses
        self._refused = refused
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        private = self._private_addresses or (host, port) == self._home
        addresses = _look_up(host, port)
        allowed = [address for address in addresses if _refusal(address, private_allowed=private) is None]
        if not allowed:
            why = _refusal(addresses[0], private_allowed=private)
            raise self._refused(f"{host} is at {addresses[0]}, {why}.")
        until = time.monotonic() + min(CONNECT_SECONDS, left(timeout))
        for number, address in enumerate(allowed):
            seconds = left(until) / (len(allowed) - number)
            try:
                stream = self._inner.connect_tcp(
                    str(address), port, seconds, local_address=local_address, socket_options=socket_options
                )
                return _DeadlineStream(stream)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                if number == len(allowed) - 1:
                    raise
        raise AssertionError("unreachable: the last address returns or raises")


class _DeadlineStream(httpcore.NetworkStream):
    """A stream whose timeouts are points in time."""

    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, left(timeout)))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class GuardedTransport(httpx.HTTPTransport):
    """For a server that a stranger may have chosen: connects as `GuardedBackend` does, and its answers are bounded.

    A request's time for reading is the time for all of its answer.
    """

    def __init__(self, known: Collection[Any] = ()) -> None:
        """`known`: addresses at which there is a Label Studio; they may send larger answers."""
        super().__init__(verify=ssl_context())
        self._known = known
        backend = GuardedBackend(private_addresses=True, refused=LabelStudioError)
        # Private by name, but the one place where httpx can be told how to connect.
        self._pool = httpcore.ConnectionPool(ssl_context=ssl_context(), network_backend=backend, keepalive_expiry=5.0)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx. Nothing is unpacked: a small answer may unpack to a large one.

        The extension `server` of a response is the address that was connected to.
        """
        seconds: dict[str, float] = request.extensions["timeout"]
        now = time.monotonic()
        request.extensions["timeout"] = timeouts(now + seconds["read"]) | {"connect": now + seconds["connect"]}
        request.headers["Accept-Encoding"] = "identity"
        response = super().handle_request(request)
        server = response.extensions["network_stream"].get_extra_info("server_addr")
        response.extensions["server"] = server
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise httpx.DecodingError("sent in an encoding nobody asked for")
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Bounded(response.stream, LARGEST_ANSWER if server in self._known else FIRST_ANSWER)
        return response


class _Bounded(httpx.SyncByteStream):
    """A body that ends with an error when it becomes too large."""

    def __init__(self, inner: httpx.SyncByteStream, limit: int) -> None:
        self._inner = inner
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        left = self._limit
        for chunk in self._inner:
            left -= len(chunk)
            if left < 0:
                raise httpx.DecodingError("too large")
            yield chunk

    def close(self) -> None:
        self._inner.close()


def _look_up(host: str, port: int) -> list[IPAddress]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the host name does not resolve ({error})") from None
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in found))


def _refusal(address: IPAddress, *, private_allowed: bool) -> str | None:
    """Why nothing is fetched from this address; None when it may be."""
    address = _embedded_ipv4(address)
    if _is_metadata(address):
        return "a link-local or cloud metadata address, and nothing is fetched from those"
    reserved = address.version == 4 and (address.is_reserved or address in THIS_HOST)
    if reserved or address.is_multicast or address.is_unspecified:
        return "which is no address of a single host"
    if not private_allowed and not address.is_global:
        return "a private address, and fetching from private addresses is switched off"
    return None


def _is_metadata(address: IPAddress) -> bool:
    return address.is_link_local or address in METADATA_ADDRESSES


def _embedded_ipv4(address: IPAddress) -> IPAddress:
    """The IPv4 address that an IPv6 address stands for (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) < 2:  # neither :: nor ::1 stands for one
        return address
    if any(address in network for network in EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


@functools.cache  # 50 ms, and the same for all
def ssl_context() -> ssl.SSLContext:
    """Whom to trust; reads SSL_CERT_FILE."""
    return httpx.create_ssl_context()


def timeouts(deadline: float) -> dict[str, float]:
    """Points in time, except the wait for a free connection, which is httpcore's own and in seconds."""
    return {"connect": deadline, "read": deadline, "write": deadline, "pool": left(deadline)}


def left(deadline: float | None) -> float:
    assert deadline is not None
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise httpcore.ReadTimeout("out of time")
    return seconds
