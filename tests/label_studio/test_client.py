"""The client against a real Label Studio, and against things that only look like one."""

from __future__ import annotations

import logging
import time
from contextlib import closing

import pytest
from pydantic import SecretStr
from support.odd_servers import Asked, Reply, answering, below
from support.processes import free_port
from support.studio import LEGACY_TOKEN, Studio
from support.tokens import make_jwt, personal_token

from pt4al_backend.errors import LabelStudioError, LabelStudioRefusedError, LabelStudioUnavailableError
from pt4al_backend.label_studio.client import LabelStudioClient, token_for
from pt4al_backend.settings import Settings

WHOAMI = "api/current-user/whoami"


def failure(
    url: str, token: str = LEGACY_TOKEN, *, login: str = "", stranger: bool = False, **arguments: float
) -> LabelStudioError:
    """What a request fails with; neither token nor password is ever in it."""
    with (
        pytest.raises(LabelStudioError) as caught,
        closing(LabelStudioClient(url, token, login=login, stranger=stranger)) as client,
    ):
        client.request("GET", WHOAMI, **arguments)
    assert token not in str(caught.value) and not (login and login.partition(":")[2] in str(caught.value))
    return caught.value


def test_both_kinds_of_tokens_also_below_a_path(label_studio: Studio, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    personal = label_studio.sign_up("client@example.com").personal_access_token()
    with answering(below("/label-studio", label_studio.url)) as proxy:
        for url in (label_studio.url + "/", f"{proxy.url}/label-studio"):
            for token, scheme in ((label_studio.token, "Token "), (personal, "Bearer ")):
                with closing(LabelStudioClient(url, token)) as client:
                    assert "@example.com" in client.request("GET", WHOAMI)["email"]
                    header = client.credentials()["Authorization"]
                    assert header.startswith(scheme) and (token in header) == (scheme == "Token ")
                    assert token not in repr(client)
        assert all("cookie" not in asked.headers for asked in proxy.asked)
    assert label_studio.token not in caplog.text and personal not in caplog.text


def test_label_studio_refuses(label_studio: Studio) -> None:
    with closing(LabelStudioClient(label_studio.url, label_studio.token)) as client:
        with pytest.raises(LabelStudioRefusedError, match="No Project matches") as caught:
            client.request("GET", "api/projects/999999")
        assert caught.value.status == 404
        with pytest.raises(LabelStudioRefusedError, match="title") as caught:
            client.request("POST", "api/projects", json={"title": "x"})
        assert caught.value.status == 400
    assert "does not know the token" in str(failure(label_studio.url, "0" * 40))
    assert "wrong or was revoked" in str(failure(label_studio.url, personal_token()))
    page = failure(f"{label_studio.url}/nothing")
    assert "There is no Label Studio" in str(page) and not isinstance(page, LabelStudioUnavailableError)


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("", "no token"),
        ("  ", "no token"),
        (make_jwt(exp=1), "has expired"),
        (make_jwt(), "has expired"),
        (make_jwt(exp=10**30), "makes no sense"),
    ],
)
def test_tokens_that_cannot_work_are_not_sent(token: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", LEGACY_TOKEN)  # it belongs to one host
    with answering(lambda asked: Reply.json({})) as server:
        with pytest.raises(LabelStudioError, match=says):
            LabelStudioClient(server.url, token)
        assert not server.asked


@pytest.mark.parametrize("url", ["", "localhost:8080", "ftp://x", "http://", "http://user:pass@x", "http://x/?a=b"])
def test_addresses_that_cannot_work(url: str) -> None:
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_URL") as caught:
        LabelStudioClient(url, LEGACY_TOKEN)
    assert "pass" not in str(caught.value)


def test_a_token_does_not_follow_a_redirect() -> None:
    with answering(lambda asked: Reply.json({"email": "x"})) as elsewhere:

        def redirect(asked: Asked) -> Reply:
            return Reply(308, headers={"Location": f"{elsewhere.url}/ls{asked.path}?secret=1"})

        with answering(redirect) as server:
            for token in (LEGACY_TOKEN, personal_token()):
                text = str(failure(server.url, token))
                assert f"set LABEL_STUDIO_URL to {elsewhere.url}/ls" in text and "secret" not in text
        with answering(lambda asked: Reply(302, headers={"Location": "/login?next=/"})) as server:
            assert "log in" in str(failure(server.url))
        assert not elsewhere.asked


@pytest.mark.parametrize(
    ("reply", "unavailable", "says"),
    [
        (Reply(200, b"<html>log in</html>"), False, "does not behave like Label Studio"),
        (Reply(200, b"[" * 100_000), False, "does not behave like Label Studio"),
        (Reply(404, b"404 page not found"), False, "There is no Label Studio"),
        (Reply(400, b"The plain HTTP request was sent to HTTPS port"), False, "There is no Label Studio"),
        (Reply.json(["x"], 404), False, "There is no Label Studio"),
        (Reply.json({"detail": "Forbidden."}, 403), False, "may not do this"),
        (Reply.json({"detail": "locked"}, 500), True, "HTTP 500: locked"),
        (Reply(502, b"<html>Bad Gateway</html>"), True, "HTTP 502"),
        (Reply(429), True, "HTTP 429"),
        (Reply(0), True, "without an answer"),
        (Reply.json({"detail": f"a {LEGACY_TOKEN} b"}, 400), False, "a ... b"),
    ],
)
def test_odd_answers(reply: Reply, unavailable: bool, says: str) -> None:
    with answering(lambda asked: reply) as server:
        error = failure(server.url)
        assert isinstance(error, LabelStudioUnavailableError) == unavailable
        assert says in str(error)
        failure(server.url, personal_token())  # the same happens to the request for an access token


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("PATCH", 2), ("DELETE", 2), ("POST", 1)])
def test_a_connection_closed_without_an_answer_is_tried_again_once(method: str, times: int) -> None:
    with answering(lambda asked: Reply(0)) as server:
        client = LabelStudioClient(server.url, LEGACY_TOKEN)
        with pytest.raises(LabelStudioUnavailableError):
            client.request(method, "api/projects/1")
        assert len(server.asked) == times
        client.close()


@pytest.mark.parametrize("answer", [["x"], {}, {"access": None}, "x", None])
def test_odd_access_tokens(answer: object) -> None:
    with answering(lambda asked: Reply.json(answer, 200 if "refresh" in asked.path else 401)) as server:
        failure(server.url, personal_token())


BASIC = {"WWW-Authenticate": 'Basic realm="x"', "Content-Type": "text/html"}


@pytest.mark.parametrize("token", [LEGACY_TOKEN, personal_token()])
@pytest.mark.parametrize(
    "refusal",
    [
        Reply(401, b"<html>401 Authorization Required</html>", BASIC),
        Reply(401, b'{"detail": "x"}', BASIC | {"Content-Type": "application/json"}),
        Reply(401, b"<html>log in</html>"),
    ],
)
def test_a_proxy_that_asks_to_log_in_is_named(token: str, refusal: Reply) -> None:
    with answering(lambda asked: refusal) as server:
        error = failure(server.url, token)
        assert f"A proxy in front of Label Studio at {server.url} asks to log in" in str(error)
        assert "http://user:password@host" in str(error) and "legacy token" in str(error)
        if token == LEGACY_TOKEN:
            assert "The proxy in front" in str(failure(server.url, login="user:wrong"))


def test_a_password_needs_a_legacy_token() -> None:
    with answering(lambda asked: Reply.json({})) as server:
        assert "legacy token" in str(failure(server.url, personal_token(), login="user:secret"))
        assert not server.asked


def test_label_studio_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    gone = failure(f"http://127.0.0.1:{free_port()}")
    assert isinstance(gone, LabelStudioUnavailableError) and "is it running" in str(gone)
    with answering(lambda asked: time.sleep(0.6) or Reply.json({})) as server:
        slow = failure(server.url, seconds=0.2)
        assert isinstance(slow, LabelStudioUnavailableError) and "too long" in str(slow)
        https = failure(server.url.replace("http", "https"))
        assert isinstance(https, LabelStudioUnavailableError) and "does it use http" in str(https)
    unknown = failure("http://label-studio.invalid")
    assert isinstance(unknown, LabelStudioUnavailableError) and "cannot be reached" in str(unknown)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with (
        answering(lambda asked: Reply.json({"email": "x"})) as server,
        closing(LabelStudioClient(server.url, LEGACY_TOKEN)) as client,
    ):
        assert client.request("GET", WHOAMI) == {"email": "x"}
        assert client.request("DELETE", "api/x", json={"a": 1}) == {"email": "x"}
    assert server.asked[1].body == b'{"a":1}'


def test_an_access_token_is_renewed_when_label_studio_wants_that() -> None:
    """Label Studio's clock may run ahead of ours, and it may have been restarted with another key."""
    given: list[str] = []

    def answer(asked: Asked) -> Reply:
        if asked.path.endswith("/api/token/refresh/"):
            given.append(make_jwt(exp=time.time() + 300, number=len(given)))
            return Reply.json({"access": given[-1]})
        good = len(given) > 1 and asked.headers["authorization"] == f"Bearer {given[-1]}"
        return Reply.json({"email": "x"}) if good else Reply.json({"detail": "Token is expired"}, 401)

    with answering(answer) as server, closing(LabelStudioClient(server.url, personal_token())) as client:
        assert client.request("GET", WHOAMI) == {"email": "x"}
        assert client.request("GET", WHOAMI) == {"email": "x"}
        assert len(given) == 2
    with answering(lambda asked: Reply.json({"detail": "no"}, 401)) as server:
        failure(server.url, personal_token())
        assert len(server.asked) <= 2


def test_whose_token_goes_where() -> None:
    settings = Settings(label_studio_url="https://ours.example/", label_studio_api_key=SecretStr("key"))
    assert token_for("https://ours.example", "theirs", settings) == "key"
    assert token_for("https://theirs.example", "theirs", settings) == "theirs"
    assert token_for("https://ours.example", "theirs", Settings(label_studio_api_key=SecretStr("key"))) == "theirs"
