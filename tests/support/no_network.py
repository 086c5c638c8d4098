"""A machine without a network: processes whose connections to other machines are refused."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_REFUSING = """
import os
import sys

OWN = ("127.", "::1", "localhost", "0.0.0.0", "::ffff:127.")


def refuse(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else "localhost"  # a path is this machine's
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    if not host.startswith(OWN):
        with open(os.environ["REFUSED_CONNECTIONS"], "a") as file:
            file.write(f"{sys.argv[0]}: {host}\\n")
        raise OSError(101, f"Network is unreachable: {host}")


sys.addaudithook(refuse)
"""
"""Python imports `sitecustomize` when it starts, and cannot be rid of an audit hook."""


@dataclass(frozen=True)
class NoNetwork:
    """What makes Python's processes reach this machine only."""

    directory: Path

    @classmethod
    def in_directory(cls, directory: Path) -> NoNetwork:
        directory.mkdir(parents=True)
        (directory / "sitecustomize.py").write_text(_REFUSING)
        return cls(directory)

    def variables(self, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
        """The variables of a process that has no network. What is no Python finds proxies where nobody listens."""
        path = os.pathsep.join(filter(None, (str(self.directory), environment.get("PYTHONPATH"))))
        proxies = {f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https", "all")}
        return {
            "PYTHONPATH": path,
            "REFUSED_CONNECTIONS": str(self._log),
            **proxies,
            **{name.upper(): value for name, value in proxies.items()},
            "no_proxy": "localhost,127.0.0.1,::1",
            "NO_PROXY": "localhost,127.0.0.1,::1",
        }

    @property
    def refused(self) -> list[str]:
        """`program: host` of every attempt."""
        return self._log.read_text().splitlines() if self._log.exists() else []

    @property
    def _log(self) -> Path:
        return self.directory / "refused.log"
