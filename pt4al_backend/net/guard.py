"""Connections that go only to permitted addresses and end in time.

Only httpcore's network backend knows which address a connection really goes to. So a name is looked up once, every
address is checked there, and the connection goes to the very address that was checked.
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

CONNECT_SECONDS = 10.0
"""Time limit of connecting: a host that swallows packets must not use up the whole time of a request."""
LARGEST_ANSWER = 256 * 2**20
"""Bytes of a response from a known Label Studio; a page of painted photos may take a fifth of that."""
FIRST_ANSWER = 4 * 2**20
"""Bytes of a response from any other server; the project, which is requested first, takes much less."""
METADATA_ADDRESSES = {  # cloud metadata services that are not link-local
    ipaddress.ip_address(text)
    for text in ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
}
EMBEDDING = (  # IPv6 networks whose last 32 bits are an IPv4 address: NAT64 (public and local) and "compatible"
    *map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "::/96")),
)
THIS_HOST = ipaddress.ip_network("0.0.0.0/8")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class GuardedBackend(httpcore.NetworkBackend):
    """Resolves a host, checks the address and connects to that very address.

    So no second look-up can return another address (DNS rebinding). TLS still checks the certificate against the host's
    name.

    httpcore passes the timeouts of a request on unchanged. Here they are points in time on the monotonic clock, so that
    a server that sends one byte per read cannot stretch the limit.
    """

    def __init__(
        self,
        *,
        private_addresses: bool,
        home: tuple[str, int] | None = None,
        refused: type[PT4ALError] = UnreadableImageError,
    ) -> None:
        """
        Args:
            private_addresses: whether hosts may be at private addresses.
            home: host and port that may be at a private address in any case.
            refused: the error raised for an address that is not permitted.
        """
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
    """For a server that a stranger may have chosen: connects as `GuardedBackend` does, and bounds the responses.

    A request's read timeout is the time for its whole response.
    """

    def __init__(self, known: Collection[Any] = ()) -> None:
        """`known`: addresses that have shown themselves to be a Label Studio; their responses may be larger."""
        super().__init__(verify=ssl_context())
        self._known = known
        backend = GuardedBackend(private_addresses=True, refused=LabelStudioError)
        # Private by name, but the only place where httpx accepts a way to connect.
        self._pool = httpcore.ConnectionPool(ssl_context=ssl_context(), network_backend=backend, keepalive_expiry=5.0)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """See httpx. Nothing is decompressed: a small response may unpack to a large one.

        The extension `server` of a response is the address that the connection went to.
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
            raise httpx.DecodingError("sent in an encoding that was not requested")
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _Bounded(response.stream, LARGEST_ANSWER if server in self._known else FIRST_ANSWER)
        return response


class _Bounded(httpx.SyncByteStream):
    """A body that raises an error once it is too large."""

    def __init__(self, inner: httpx.SyncByteStream, limit: int) -> None:
        self._inner = inner
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        remaining = self._limit
        for chunk in self._inner:
            remaining -= len(chunk)
            if remaining < 0:
                raise httpx.DecodingError("too large")
            yield chunk

    def close(self) -> None:
        self._inner.close()


def _look_up(host: str, port: int) -> list[IPAddress]:
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the host name does not resolve ({error})") from None
    return list(dict.fromkeys(ipaddress.ip_address(str(entry[4][0])) for entry in entries))


def _refusal(address: IPAddress, *, private_allowed: bool) -> str | None:
    """Why connections to this address are refused; None if they are allowed."""
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
    """The IPv4 address inside an IPv6 address (mapped, 6to4, NAT64), or the address itself."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) < 2:  # :: and ::1 contain none
        return address
    if any(address in network for network in EMBEDDING):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


@functools.cache  # takes 50 ms, and all connections share it
def ssl_context() -> ssl.SSLContext:
    """The trusted certificates; reads SSL_CERT_FILE."""
    return httpx.create_ssl_context()


def timeouts(deadline: float) -> dict[str, float]:
    """A request's timeouts: points in time, except the wait for a free connection, which httpcore takes in seconds."""
    return {"connect": deadline, "read": deadline, "write": deadline, "pool": left(deadline)}


def left(deadline: float | None) -> float:
    """Seconds until a point in time on the monotonic clock. `httpcore.ReadTimeout` if it has passed."""
    assert deadline is not None
    seconds = deadline - time.monotonic()
    if seconds <= 0:
        raise httpcore.ReadTimeout("out of time")
    return seconds
