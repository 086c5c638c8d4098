"""Basic auth: everything but /health, on every SDK generation, for every client's encoding."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from support.filled_store import settings_in
from support.served import load_model

from pt4al_backend.errors import PT4ALError
from pt4al_backend.web.app import create_app

PROTECTED = ["/", "/versions", "/metrics", "/api/status", "/dashboard", "/dashboard/static/dashboard.css", "/nothing"]
LOCKED = {"basic_auth_user": "jürgen", "basic_auth_pass": "pä:ss"}


def basic(pair: str, encoding: str = "utf-8") -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(pair.encode(encoding)).decode()}


def test_only_health_is_open(start: Callable[..., FlaskClient]) -> None:
    client = start(**LOCKED)
    assert client.get("/health").status_code == 200
    for path in PROTECTED:
        answer = client.get(path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic")
    for path in ("/setup", "/predict", "/webhook", "/health"):
        assert client.post(path, json="no object").status_code in (401, 405)


def test_the_password_gives_access(start: Callable[..., FlaskClient]) -> None:
    client = start(**LOCKED)
    for encoding in ("utf-8", "latin-1"):
        assert client.get("/api/status", headers=basic("jürgen:pä:ss", encoding)).status_code == 200
    assert client.get("/api/status", headers=basic("jürgen:pä:ss") | {"X": "y"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        basic("jürgen:pä:sS"),
        basic("jürgen:"),
        basic(":"),
        basic(""),
        basic("j?rgen:p?:ss"),
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic " + "A" * 5},
        {"Authorization": "Bearer " + base64.b64encode("jürgen:pä:ss".encode()).decode()},
        {"Authorization": ""},
    ],
)
def test_anything_else_does_not(start: Callable[..., FlaskClient], headers: dict[str, str]) -> None:
    assert start(**LOCKED).get("/api/status", headers=headers).status_code == 401


def test_a_password_beyond_latin_1(start: Callable[..., FlaskClient]) -> None:
    client = start(basic_auth_user="u", basic_auth_pass="パス")
    assert client.get("/", headers=basic("u:パス")).status_code == 200
    assert client.get("/", headers=basic("u:??")).status_code == 401


@pytest.mark.parametrize("half", [{"basic_auth_user": "u"}, {"basic_auth_pass": "p"}])
def test_half_a_login_protects_nothing(tmp_path, half: dict[str, str]) -> None:
    with pytest.raises(PT4ALError, match="BASIC_AUTH_PASS, or neither"):
        create_app(load_model, settings_in(tmp_path, **half))
