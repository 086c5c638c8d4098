"""Whatever bytes arrive: an answer of the 400s at worst, no traceback, and others are served."""

from __future__ import annotations

import re
import time
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.served import Backend
from support.strangers import answer_to, connect, head, seconds_of_health

START = b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n"

MALFORMED = [
    CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    CHUNKED + b"-1\r\n\r\n",
    CHUNKED + b"ffffffffffffffffff\r\nx",
    CHUNKED + b"5\r\nhelloXX0\r\n\r\n",
    CHUNKED + b"5;" + b"x" * 100 + b"\r\nhello\r\n0\r\n\r\n",
    CHUNKED.replace(b"chunked", b"gzip, chunked") + b"0\r\n\r\n",
    CHUNKED.replace(b"chunked", b"identity") + b"0\r\n\r\n",
    START + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    START + b"Content-Length: -5\r\n\r\n",
    START + b"Content-Length: 5, 6\r\n\r\nhello",
    START + b"Content-Length: 99999999999999999999\r\n\r\n",
    START + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n",
    START + b"Content-Length: 1e3\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: [::\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nno colon\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX: \0\r\n\r\n",
    b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
    b"GET /is_training?project=\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]
HARMLESS = [
    head("GET", "/health", SCRIPT_NAME="/x"),
    head("GET", "/health", PATH_INFO="/x", REMOTE_ADDR="8.8.8.8", HTTP_HOST="evil.example"),
    head("GET", "/health", X="y" * 60_000),
    b"GET /health HTTP/1.0\r\n\r\n",
    head("GET", "/health?%ff=%zz&&=", Range="bytes=9-1", Cookie="\xff", If_None_Match='"'),
]
PIECES = [b"\r\n", b"\n", b"\r", b"\0", b":", b" ", b"\t", b"\xff", b"%00", b"?", b"//", b"0\r\n\r\n", b"ffff\r\n"]
PIECES += [b"Host: x:99999999\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"SCRIPT_NAME: /x\r\n"]
PIECES += [
    b"Expect: 100-continue\r\n",
    b"Origin: http://[\r\n",
    b"Connection: close\r\n",
    b"Content-Encoding: gzip\r\n",
]
PIECES += [
    b"Authorization: Basic \xff\r\n",
    b"X-Forwarded-For: ,1\r\n",
    b"Content-Type: application/json; charset=\xff\r\n",
]
SEEDS = [*HARMLESS, *MALFORMED, START + b'Content-Length: 22\r\n\r\n{"project": 1, "a": 2}', head("HEAD", "/dashboard")]
SEEDS = [seed for seed in SEEDS if len(seed) < 1000]


def codes(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"^HTTP/1\.[01] (\d{3}) ", answer, flags=re.M)]


@pytest.mark.parametrize("request_", MALFORMED, ids=range(len(MALFORMED)))
def test_malformed_requests(web: Backend, request_: bytes) -> None:
    with connect(web, request_) as client:
        found = codes(answer_to(client))
    assert found and all(400 <= code < 500 for code in found), found


@pytest.mark.parametrize("request_", HARMLESS, ids=range(len(HARMLESS)))
def test_odd_requests(web: Backend, request_: bytes) -> None:
    with connect(web, request_) as client:
        assert codes(answer_to(client)) == [200]


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A request with some bytes put in, taken out or turned into others."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 12))] = draw(st.sampled_from(PIECES) | st.binary(max_size=3))
    return bytes(data)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests=st.lists(mangled(), min_size=16, max_size=16))
def test_mangled_requests(web: Backend, requests: list[bytes]) -> None:
    """Many at a time, since most wait for more to come."""
    with ExitStack() as open_ones:
        clients = [open_ones.enter_context(connect(web, request)) for request in requests]
        time.sleep(0.05)
        for client, request in zip(clients, requests, strict=True):
            assert all(code < 500 for code in codes(answer_to(client, seconds=0.001))), request


def test_nothing_of_it_is_in_the_log(web: Backend) -> None:
    assert seconds_of_health(web) < 1
    log = web.log.read_text()
    assert "Traceback" not in log and "ERROR" not in log, log[-3000:]
