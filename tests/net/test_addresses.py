"""Ports of this machine are really taken and freed here."""

from __future__ import annotations

import socket

import pytest
from support.processes import free_port

from pt4al_backend.errors import PT4ALError
from pt4al_backend.net.addresses import address, is_loopback, port_is_free, require_free_port, without_userinfo
from pt4al_backend.settings import Settings


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://ls:8080", "http://ls:8080"),
        ("https://u:p@ls/x", "https://ls/x"),
        ("https://u:p@ss@ls", "https://ls"),
        ("https://u@[::1]:80/x", "https://[::1]:80/x"),
    ],
)
def test_addresses_are_shown_without_a_login(url: str, plain: str) -> None:
    assert without_userinfo(url) == plain


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://localhost:9191"),
        ("", "http://localhost:9191"),
        ("::", "http://localhost:9191"),
        ("127.0.0.1", "http://127.0.0.1:9191"),
        ("::1", "http://[::1]:9191"),
        ("backend.example", "http://backend.example:9191"),
    ],
)
def test_the_address_for_a_browser_on_this_machine(host: str, url: str) -> None:
    assert address(Settings(host=host, port=9191)) == url


def test_loopback() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.8.0.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.7", "localhost.example")))


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_is_free_once_nobody_listens(family: socket.AddressFamily, host: str) -> None:
    with socket.create_server((host, 0), family=family) as server:
        port = server.getsockname()[1]
        assert not port_is_free(host, port)
        with pytest.raises(PT4ALError, match=rf"Port {port} on {host} is in use.* another port with --web-port\."):
            require_free_port(host, port, option="--web-port")
    assert port_is_free(host, port)
    require_free_port(host, port)


@pytest.mark.parametrize("host", ["203.0.113.7", "no-such-host.invalid"])
def test_an_address_of_another_machine_is_an_error(host: str) -> None:
    with pytest.raises(PT4ALError, match=f"{host} is not an address of this machine. Fix --host or PT4AL_HOST."):
        require_free_port(host, free_port())
