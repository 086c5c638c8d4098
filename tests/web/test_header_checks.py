"""Checks of the headers: who has access, by which host name, and from which site's pages."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from flask import Request
from support.filled_store import settings_in
from test_security import basic
from werkzeug.test import EnvironBuilder

from pt4al_backend.web import header_checks

PASSWORD = {"basic_auth_user": "u", "basic_auth_pass": "p"}
NEAR = ["127.0.0.1", "127.3.2.1", "::1", "10.1.2.3", "172.17.0.1", "172.31.255.255", "192.168.1.7", "169.254.3.4"]
NEAR += ["fd12:3456::1", "fe80::1", "fe80::1%eth0", "::ffff:192.168.1.7", ""]
FAR = ["8.8.8.8", "172.32.0.1", "192.169.0.1", "100.64.1.1", "2001:db8::1", "2a00:1450::1", "::ffff:8.8.8.8", "0.0.0.0"]
FAR += ["64:ff9b::a00:1", "2002:a00:1::1", "unknown"]


def answer(tmp_path: Path, *, peer: str = "127.0.0.1", method: str = "GET", **given: object) -> tuple[int, str]:
    """The status and the sentence of the response; 200 and "" if the request passes."""
    settings = settings_in(tmp_path, **dict(given.get("settings") or {}))  # type: ignore[arg-type]
    builder = EnvironBuilder("/setup", method=method, headers=given.get("headers"))  # type: ignore[arg-type]
    environ = builder.get_environ() | {"REMOTE_ADDR": peer}
    refusal = header_checks.refused(Request(environ), settings)
    return (200, "") if refusal is None else (refusal.status_code, refusal.status[4:])


@pytest.mark.parametrize("peer", NEAR)
def test_without_a_password_private_networks_have_access(tmp_path: Path, peer: str) -> None:
    assert answer(tmp_path, peer=peer) == (200, "")
    assert answer(tmp_path, headers={"X-Forwarded-For": f"192.168.3.4, {peer or '::1'}"}) == (200, "")


@pytest.mark.parametrize("peer", FAR)
def test_without_a_password_nobody_else_has_access(tmp_path: Path, peer: str) -> None:
    code, sentence = answer(tmp_path, peer=peer)
    assert code == 403
    assert sentence.startswith(
        "Without a password, only this machine and private networks get a response: set BASIC_AUTH"
    )
    assert answer(tmp_path, headers={"X-Forwarded-For": f"10.0.0.1, {peer}"})[0] == 403, "told by a proxy nearby"
    login = basic("u:p")
    assert answer(tmp_path, peer=peer, settings=PASSWORD, headers=login) == (200, "")
    assert answer(tmp_path, peer=peer, settings=PASSWORD)[0] == 401


OURS = ["localhost", "localhost:9090", "127.0.0.1:9090", "[::1]:9090", "192.168.1.7", "8.8.8.8:80", "web:9090", "WEB"]
OURS += ["host.docker.internal:9090", "pt4al.ml.svc.cluster.local", "pt4al.ml.svc", "gpu.lan", "web.", "a.localhost"]
OURS += [socket.gethostname()]
OTHERS = ["evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil.example", "1.2.3.4.5"]


@pytest.mark.parametrize("host", OURS)
def test_names_that_no_stranger_can_own(tmp_path: Path, host: str) -> None:
    for settings in ({}, {"allowed_hosts": "pt4al.example.com"}, PASSWORD):
        headers = {"Host": host} | (basic("u:p") if settings else {})
        assert answer(tmp_path, settings=settings, headers=headers) == (200, "")


@pytest.mark.parametrize("host", OTHERS)
def test_names_that_anybody_may_own(tmp_path: Path, host: str) -> None:
    code, sentence = answer(tmp_path, headers={"Host": host})
    name = host.partition(":")[0]
    assert code == 403
    assert sentence == f"pt4al-backend does not answer to the name {name}: add it to PT4AL_ALLOWED_HOSTS where it runs."
    assert answer(tmp_path, headers={"Host": host} | basic("u:p"), settings=PASSWORD) == (200, "")
    told = PASSWORD | {"allowed_hosts": "pt4al.example.com"}
    assert answer(tmp_path, headers={"Host": host} | basic("u:p"), settings=told)[0] == 403


@pytest.mark.parametrize(
    ("allowed", "host", "code"),
    [
        ("pt4al.example.com", "pt4al.example.com:443", 200),
        ("pt4al.example.com", "PT4AL.Example.com", 200),
        ("a.example, pt4al.example.com ,", "pt4al.example.com", 200),
        ("pt4al.example.com", "x.pt4al.example.com", 403),
        (".example.com", "pt4al.example.com", 200),
        (".example.com", "badexample.com", 403),
        (".example.com", "example.com", 403),
        ("*", "anything.example", 200),
    ],
)
def test_allowed_hosts(tmp_path: Path, allowed: str, host: str, code: int) -> None:
    assert answer(tmp_path, headers={"Host": host}, settings={"allowed_hosts": allowed})[0] == code


@pytest.mark.parametrize("host", ["[", "[::1", "a]b["])
def test_a_malformed_host(tmp_path: Path, host: str) -> None:
    assert answer(tmp_path, headers={"Host": host})[0] == 400


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://["},
    {"Origin": "http://localhost:8080"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://localhost:9090", "Sec-Fetch-Site": "cross-site"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_pages_of_other_sites(tmp_path: Path, headers: dict[str, str]) -> None:
    given = {"Host": "localhost:9090", **headers}
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert answer(tmp_path, method=method, headers=given) == (
            403,
            "Pages of other sites may not send this request: Label Studio's own server sends it.",
        )
    assert answer(tmp_path, headers=given) == (200, ""), "looking changes nothing, and the page cannot read the answer"


@pytest.mark.parametrize(
    "headers",
    [{}, {"Origin": "http://localhost:9090"}, {"Origin": "https://LOCALHOST:9090", "Sec-Fetch-Site": "same-origin"}],
)
def test_our_own_pages_and_programs(tmp_path: Path, headers: dict[str, str]) -> None:
    assert answer(tmp_path, method="POST", headers={"Host": "localhost:9090", **headers}) == (200, "")


def test_without_the_password_nothing_else_is_revealed(tmp_path: Path) -> None:
    large = {"Content-Length": str(2**40), "Content-Type": "text/plain", "Origin": "http://evil.example"}
    assert answer(tmp_path, method="POST", headers=large, settings=PASSWORD)[0] == 401
    assert answer(tmp_path, method="POST", headers=large, peer="8.8.8.8")[0] == 403
