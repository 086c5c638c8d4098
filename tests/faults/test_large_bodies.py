"""Bodies: how large, how many, with how much in them, and who may send any."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest
from support.served import Backend
from support.strangers import answer_to, ask, connect, head, peak_memory, seconds_of_health

MB = 2**20
RIGHT, WRONG = "Basic dTpw", "Basic dTpx"  # u:p, u:q


def large(path: str = "/predict", length: int = 60 * MB, **headers: object) -> bytes:
    return head("POST", path, content_type="application/json", content_length=length, **headers)


@pytest.mark.parametrize("path", ["/health", "/dashboard", "/versions", "/nothing", "/predict"])
def test_too_large_ones_are_refused_unread(web: Backend, path: str) -> None:
    with connect(web, large(path, 1500 * MB)) as client:
        assert answer_to(client).startswith(b"HTTP/1.1 413 The body is larger than ")


def test_what_is_refused_costs_no_memory(web: Backend) -> None:
    piece = bytes(MB)
    with peak_memory(web) as grown, connect(web, large("/health", 1500 * MB)) as client:
        try:
            for _ in range(1500):
                client.sendall(piece)
        except OSError:
            pass  # it has listened long enough
    assert grown[0] < 30


def test_the_refusal_of_a_body_arrives(web: Backend) -> None:
    """Closing a connection with something unread can swallow what was answered."""
    with connect(web, large("/versions", 5 * MB)) as client:
        client.sendall(bytes(5 * MB))
        assert answer_to(client).startswith(b"HTTP/1.1 413 ")
    assert ask(web, "POST", "/versions", bytes(5 * MB))[0] == 413


def test_the_password_comes_before_the_body(locked_web: Backend) -> None:
    for headers in ({}, {"authorization": WRONG}):
        with connect(locked_web, large(**headers)) as client:
            assert answer_to(client).startswith(b"HTTP/1.1 401 ")
    with connect(locked_web, large(expect="100-continue")) as client:
        assert answer_to(client).startswith(b"HTTP/1.1 401 ")
    told = large(authorization=RIGHT, expect="100-continue")
    with connect(locked_web, told) as client:
        assert answer_to(client) == b"HTTP/1.1 100 (Continue)\r\n\r\n"


def test_four_large_bodies_at_a_time(web: Backend) -> None:
    small, body = (
        {"project": "1.1", "tasks": []},
        b'{"project": "1.1", "tasks": [], "x": "%b"}' % bytes(MB).hex().encode(),
    )
    with ExitStack() as open_ones:
        for _ in range(4):
            open_ones.enter_context(connect(web, large()))
        time.sleep(0.5)
        code, reason, headers = ask(web, "POST", "/predict", body)
        assert (code, headers["Retry-After"]) == (503, "5")
        assert reason == "Other large requests are being read: send this one again in a few seconds."
        assert ask(web, "POST", "/predict", small)[0] == 200
    deadline = time.monotonic() + 10
    while ask(web, "POST", "/predict", body)[0] != 200:  # the four have left
        assert time.monotonic() < deadline
    for _ in range(5):
        assert ask(web, "POST", "/predict", body)[0] == 200


@pytest.mark.alone
@pytest.mark.parametrize(
    "body",
    [
        b'{"project": "1.1", "tasks": [' + b"{}," * (16 * MB) + b"{}]}",
        b'{"project": "1.1", "tasks": [' + b'{"id":1},' * 3_400_000 + b'{"id":1}]}',
        b'{"project": "1.1", "tasks": [' + b'{"id":1},' * 50_000 + b'{"id":1}]}',
        b"[" * (48 * MB),
    ],
    ids=["empty objects", "3.4 million tasks", "50,001 tasks", "brackets"],
)
def test_too_much_in_one(web: Backend, body: bytes) -> None:
    begun = time.monotonic()
    with peak_memory(web) as grown:
        code, reason, _ = ask(web, "POST", "/predict", body)
    assert code == 413
    assert reason.endswith(("send fewer tasks at a time.", "send fewer at a time."))
    assert grown[0] < 3 * len(body) / MB + 60
    assert time.monotonic() - begun < 7


@pytest.mark.alone
def test_health_beside_large_bodies(web: Backend) -> None:
    body = b'{"project": "1.1", "tasks": [], "rle": [' + b"255," * 7_900_000 + b"1]}"
    with ExitStack() as open_ones:
        for _ in range(2):
            open_ones.enter_context(connect(web, large(length=len(body)) + body))
        assert seconds_of_health(web, times=5) < 5  # a quiet machine needs less than a second
