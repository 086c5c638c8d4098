"""A backend that knows neither Label Studio nor a usable token says so at /setup, which is what the form shows."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from support.filled_store import CONFIG, CREATED
from support.odd_servers import Asked, OddServer, Reply, answering
from werkzeug.test import TestResponse

from pt4al_backend.web.context import context

TOKEN = "0123456789abcdef"
UNKNOWN = {"label_studio_url": "", "label_studio_api_key": ""}


def setup(client: FlaskClient, server: OddServer, token: str = TOKEN) -> TestResponse:
    body = {"project": f"12.{CREATED}", "schema": CONFIG, "hostname": server.url, "access_token": token}
    return client.post("/setup", json=body)


def test_a_rejected_token(start: Callable[..., FlaskClient]) -> None:
    client = start(**UNKNOWN)
    with answering(lambda asked: Reply.json({"detail": "legacy token authentication has been disabled"}, 401)) as ls:
        answer = setup(client, ls)
    assert answer.status_code == 422
    assert "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY" in answer.status and "restart it" in answer.status
    assert TOKEN not in answer.status and context().store.projects() == []
    assert [asked.headers["authorization"] for asked in ls.asked] == [f"Token {TOKEN}"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply.json({"email": "me@example.com"}),
        Reply.json({"detail": "not now"}, 503),
        Reply(401, b"<html>", {"WWW-Authenticate": 'Basic realm="proxy"'}),
        Reply.json([], 401),
        Reply(301, headers={"Location": "http://127.0.0.1:1/"}),
        Reply(0),
    ],
)
def test_responses_that_prove_nothing_about_the_token_pass(start: Callable[..., FlaskClient], reply: Reply) -> None:
    with answering(lambda asked: reply) as server:
        assert setup(start(**UNKNOWN), server).status_code == 200


@pytest.mark.alone
def test_label_studio_is_not_kept_waiting(start: Callable[..., FlaskClient]) -> None:
    """Label Studio waits three seconds, and may be unable to respond to us meanwhile."""

    def slow(asked: Asked) -> Reply:
        time.sleep(2.5)
        return Reply.json({"detail": "too late"}, 401)

    client = start(**UNKNOWN)
    with answering(slow) as server:
        began = time.monotonic()
        assert setup(client, server).status_code == 200
        assert time.monotonic() - began < 2.5


def test_a_known_project_is_not_checked_again(start: Callable[..., FlaskClient]) -> None:
    client = start(**UNKNOWN)
    with answering(lambda asked: Reply.json({"email": "me@example.com"})) as server:
        for _ in range(2):
            assert setup(client, server).status_code == 200
        assert len(server.asked) == 2, "the project was never synced"
        (project,) = context().store.projects()
        context().store.update(project.id, cursor="1")
        assert setup(client, server).status_code == 200 and len(server.asked) == 2
        assert setup(client, server, token="another").status_code == 200 and len(server.asked) == 3


def test_with_a_key_in_the_settings_no_other_label_studio_is_asked(client: FlaskClient) -> None:
    with answering(lambda asked: Reply.json({"detail": "no"}, 401)) as server:
        assert setup(client, server).status_code == 200 and server.asked == []


UNAUTHORIZED = Reply.json({"detail": "Invalid token."}, 401)


def personal(claims: dict[str, object]) -> str:
    """A personal access token like those of Label Studio, as far as it can be read without its key."""
    parts = ({"alg": "HS256", "typ": "JWT"}, claims, {})
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


@pytest.mark.parametrize(
    ("key", "login", "says", "asked"),
    [
        (TOKEN, "", "does not know the token", 1),
        (TOKEN, "team:s3cret", "does not know the token", 1),
        (personal({"exp": 2**33}), "", "is wrong or was revoked", 1),
        (personal({"exp": 1}), "", "has expired", 0),
        ("not.a.token", "", "does not know the token", 1),
    ],
)
def test_a_wrong_token_of_the_settings(
    start: Callable[..., FlaskClient], key: str, login: str, says: str, asked: int
) -> None:
    with answering(lambda asked: UNAUTHORIZED) as server:
        client = start(label_studio_url=server.url, label_studio_api_key=key, label_studio_login=login)
        answer = setup(client, server, token="sent along")
    assert answer.status_code == 422 and "LABEL_STUDIO_API_KEY" in answer.status and says in answer.status
    assert key not in answer.status and context().store.projects() == []
    assert len(server.asked) == asked and not any("sent along" in str(one.headers) for one in server.asked)


@pytest.mark.parametrize(
    ("login", "reply"),
    [
        ("", Reply.json({"email": "me@example.com"})),
        ("", Reply.json({"detail": "not now"}, 503)),
        ("", Reply(0)),
        ("", Reply(401, b"<html>", {"WWW-Authenticate": 'Basic realm="proxy"'})),
        ("team:wrong", Reply(401, b"<html>", {"WWW-Authenticate": 'Basic realm="proxy"'})),
    ],
)
def test_responses_that_prove_nothing_about_the_token_of_the_settings_pass(
    start: Callable[..., FlaskClient], login: str, reply: Reply
) -> None:
    with answering(lambda asked: reply) as server:
        client = start(label_studio_url=server.url, label_studio_api_key=TOKEN, label_studio_login=login)
        assert setup(client, server).status_code == 200 and server.asked
        context().store.update(context().store.projects()[0].id, cursor="1")
        asked = len(server.asked)
        assert setup(client, server).status_code == 200 and len(server.asked) == asked, "it is known"
