"""Where this program listens, and how addresses are shown."""

from __future__ import annotations

import errno
import socket
from urllib.parse import urlsplit, urlunsplit

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on `host`."""
    return host in ("localhost", "::1") or host.startswith("127.")


def address(settings: Settings) -> str:
    """The URL at which a browser on this machine finds the web process."""
    host = "localhost" if settings.host in ("", "0.0.0.0", "::") else settings.host
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def require_free_port(host: str, port: int, *, option: str = "--port") -> None:
    """Check that a server can listen on a port.

    Args:
        host: address to listen on.
        port: port to listen on.
        option: the command-line option that chooses another port, for the message.

    Raises:
        PT4ALError: it cannot.
    """
    if not port_is_free(host, port):
        raise PT4ALError(
            f"Port {port} on {host} is in use. Stop the program that uses it, or choose another port with {option}."
        )


def port_is_free(host: str, port: int) -> bool:
    """Whether a server can listen on a port now.

    Raises:
        PT4ALError: it never can: the address is not this machine's, or the port is reserved.
    """
    not_ours = f"{host} is not an address of this machine. Fix --host or PT4AL_HOST."
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)  # Linux lets two sockets bind with SO_REUSEADDR, but not listen
        except PermissionError as error:
            raise PT4ALError(f"Port {port} needs more rights than this user has. Choose one above 1023.") from error
        except socket.gaierror as error:
            raise PT4ALError(not_ours) from error
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise PT4ALError(not_ours) from error
            return False
    return True


def without_userinfo(url: str) -> str:
    """The URL without the user name and password in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
