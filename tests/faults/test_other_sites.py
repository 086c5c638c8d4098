"""Pages of other sites, names that lead here, and what Label Studio itself sends."""

from __future__ import annotations

import pytest
from filled_store import CONFIG
from served import Backend
from strangers import ask

SETUP = {"project": "1.1700000000", "schema": CONFIG, "hostname": "http://evil.example", "access_token": "t"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/plain; charset=application/json"}, 415),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
    ],
)
def test_a_page_of_another_site_connects_no_project(web: Backend, headers: dict[str, str], code: int) -> None:
    assert ask(web, "POST", "/setup", SETUP, **headers)[0] == code
    assert web.status()["projects"] == []


def test_every_path_asks_for_the_name(web: Backend) -> None:
    for path in ("/health", "/dashboard", "/api/status", "/metrics", "/versions", "/nothing"):
        code, reason, _ = ask(web, "GET", path, Host="evil.example:9090")
        assert (code, "PT4AL_ALLOWED_HOSTS" in reason) == (403, True)
        assert ask(web, "GET", path, Host="pt4al")[0] in (200, 404)


def test_a_proxy_that_tells_of_a_stranger(web: Backend) -> None:
    code, reason, _ = ask(web, "GET", "/health", **{"X-Forwarded-For": "203.0.113.7"})
    assert code == 403
    assert "BASIC_AUTH_USER" in reason
