"""Personal access tokens and what they are exchanged for."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.tokens import make_jwt, personal_token

from pt4al_backend.errors import LabelStudioError, LabelStudioRefusedError
from pt4al_backend.label_studio import tokens
from pt4al_backend.label_studio.tokens import PersonalToken, is_personal


class Exchange:
    """Gives access tokens that last for so long, and counts them."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.given = seconds, []

    def __call__(self, token: str) -> str:
        assert is_personal(token)
        self.given.append(make_jwt(exp=time.time() + self.seconds, number=len(self.given)))
        return self.given[-1]


@pytest.mark.parametrize(
    ("token", "personal"),
    [
        ("0" * 40, False),
        ("", False),
        ("a.b", False),
        ("a.b.c", False),
        ("..", False),
        ("a.\u00e9.c", False),
        ("a.Ww.c", False),  # a list
        (personal_token(), True),
        (make_jwt(), True),
    ],
)
def test_personal_tokens_are_jwts(token: str, personal: bool) -> None:
    assert is_personal(token) == personal


@pytest.mark.parametrize("end", [1, 1.5, 0, None, "soon", True])
def test_a_token_that_has_expired_is_not_exchanged(end: object) -> None:
    exchange = Exchange(300)
    with pytest.raises(LabelStudioRefusedError, match="has expired"):
        PersonalToken(make_jwt(exp=end), exchange)
    assert not exchange.given


@pytest.mark.parametrize("end", [10**30, 10**12, -1])
def test_a_token_that_makes_no_sense(end: int) -> None:
    with pytest.raises(LabelStudioError, match="makes no sense"):
        PersonalToken(make_jwt(exp=end), Exchange(300))


def test_an_access_token_is_kept_until_it_expires() -> None:
    exchange = Exchange(300)
    token = PersonalToken(personal_token(), exchange)
    assert not exchange.given
    assert token.access() == token.access() == exchange.given[0]
    exchange = Exchange(0)
    token = PersonalToken(personal_token(), exchange)
    assert token.access() != token.access()
    assert len(exchange.given) == 2


def test_one_that_was_refused_is_replaced_once() -> None:
    exchange = Exchange(300)
    token = PersonalToken(personal_token(), exchange)
    first = token.access()
    token.refused(first)
    second = token.access()
    token.refused(first)  # by another thread, which asked with the first one too
    assert token.access() == second != first
    assert len(exchange.given) == 2


def test_a_token_that_expires_meanwhile_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    exchange = Exchange(300)
    token = PersonalToken(personal_token(), exchange)
    token.access()
    now = time.time()
    monkeypatch.setattr(tokens.time, "time", lambda: now + 400 * 24 * 3600)
    with pytest.raises(LabelStudioRefusedError, match="has expired"):
        token.access()
    assert len(exchange.given) == 1


def test_threads_that_need_one_at_once_ask_once() -> None:
    together, exchange = threading.Barrier(8), Exchange(300)
    token = PersonalToken(personal_token(), exchange)

    def ask(_number: int) -> str:
        together.wait()
        return token.access()

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(8))) == set(exchange.given)
    assert len(exchange.given) == 1
