"""Which addresses are connected to, and for how long, as images are fetched over real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing

import httpcore
import httpx
import pytest
from support.image_servers import IMAGE, Answer, Handler, Net, image, reason, redirect
from support.odd_servers import Reply, answering

from pt4al_backend.errors import LabelStudioError
from pt4al_backend.net import guard
from pt4al_backend.net.guard import GuardedBackend, GuardedTransport


@pytest.fixture
def net() -> Iterator[Net]:
    with closing(Net()) as net:
        yield net


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "2852039166",  # the same as one number
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",  # the same behind NAT64
        "[64:ff9b:1::a9fe:a9fe]",  # and behind a site's own
        "[::a9fe:a9fe]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "0.0.0.0",
        "0.1.2.3",
        "[::]",
        "224.0.0.1",
        "[ff02::1]",
        "255.255.255.255",
    ],
)
def test_addresses_nothing_is_ever_fetched_from(net: Net, host: str) -> None:
    studio = net.serve(redirect(f"http://{host}/latest/meta-data"))
    fetcher = net.fetcher(studio.url)
    began = time.monotonic()
    assert " is at " in reason(fetcher, f"http://{host}/latest/meta-data")
    assert " is at " in reason(fetcher, "/redirected")
    assert time.monotonic() - began < 3


def test_private_addresses_can_be_switched_off_for_all_but_label_studio(net: Net) -> None:
    other = net.serve(image)
    studio = net.serve(lambda h: redirect(f"{other.url}/x")(h) if h.path == "/out" else image(h))
    fetcher = net.fetcher(studio.url, private_addresses=False)
    assert fetcher.fetch("/data/upload/1/a.png", task_id=7) == IMAGE
    for value in (f"{other.url}/x", f"http://localhost:{other.server_port}/x", "/out", "http://10.1.2.3/"):
        assert "private address" in reason(fetcher, value)
    assert other.seen == []


def test_the_address_that_was_checked_is_the_one_connected_to(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that answers 127.0.0.1 first and a metadata address from then on."""
    server = net.serve(image)
    real, answers = socket.getaddrinfo, iter(["127.0.0.1"])

    def getaddrinfo(host: str, *args: object, **kwargs: object) -> object:
        address = next(answers, "169.254.169.254") if host == "rebind.test" else host
        return real(address, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    fetcher = net.fetcher("http://127.0.0.1:1")
    value = f"http://rebind.test:{server.server_port}/a.png"
    assert fetcher.fetch(value, task_id=7) == IMAGE
    second = net.fetcher("http://127.0.0.1:1")
    assert f"{value}: rebind.test is at 169.254.169.254" in reason(second, value)
    assert len(server.seen) == 1


def test_a_dead_first_address_of_a_name_is_passed_over(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    server = net.serve(image)
    real = socket.getaddrinfo

    def getaddrinfo(host: str, *args: object, **kwargs: object) -> object:
        if host != "two.test":
            return real(host, *args, **kwargs)
        both = [real(address, *args, **kwargs) for address in ("127.0.0.9", "127.0.0.1")]
        return both[0] + both[1]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    fetcher = net.fetcher("http://127.0.0.1:1")
    assert fetcher.fetch(f"http://two.test:{server.server_port}/a.png", task_id=7) == IMAGE


def drip(text: bytes) -> Answer:
    def answer(handler: Handler) -> None:
        for byte in text:
            handler.wfile.write(bytes([byte]))
            time.sleep(0.05)

    return answer


def slow_redirects(handler: Handler) -> None:
    time.sleep(0.2)
    redirect("/x")(handler)


@pytest.mark.parametrize(
    "answer",
    [
        drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100),
        drip(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100),
        slow_redirects,
        lambda handler: time.sleep(5),
    ],
    ids=["headers", "body", "redirects", "silence"],
)
def test_the_whole_fetch_is_bounded_in_time(net: Net, answer: Answer) -> None:
    server = net.serve(answer)
    fetcher = net.fetcher("http://127.0.0.1:1", seconds=0.5)
    began = time.monotonic()
    assert reason(fetcher, f"{server.url}/x") == f"{server.url}/x: took longer than 0.5 s."
    assert time.monotonic() - began < 3


def test_refused_addresses_raise_the_chosen_error() -> None:
    for refused in (LabelStudioError, ValueError):
        backend = GuardedBackend(private_addresses=True, refused=refused)
        with pytest.raises(refused, match=r"^169\.254\.0\.1 is at 169\.254\.0\.1, a link-local"):
            backend.connect_tcp("169.254.0.1", 80, timeout=time.monotonic() + 5)


def test_only_the_home_port_may_be_private(net: Net) -> None:
    home, other = net.serve(image), net.serve(image)
    backend = GuardedBackend(private_addresses=False, home=("127.0.0.1", home.server_port), refused=LabelStudioError)
    backend.connect_tcp("127.0.0.1", home.server_port, timeout=time.monotonic() + 5).close()
    with pytest.raises(LabelStudioError, match="fetching from private addresses is switched off"):
        backend.connect_tcp("127.0.0.1", other.server_port, timeout=time.monotonic() + 5)


def test_a_response_may_be_larger_once_its_address_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "FIRST_ANSWER", 1000)
    monkeypatch.setattr(guard, "LARGEST_ANSWER", 2000)
    known: set[object] = set()
    with (
        answering(lambda asked: Reply(body=b"x" * int(asked.path[1:]))) as server,
        httpx.Client(transport=GuardedTransport(known)) as client,
    ):
        response = client.get(f"{server.url}/1000")
        assert len(response.content) == 1000
        assert server.asked[0].headers["accept-encoding"] == "identity"
        with pytest.raises(httpx.DecodingError, match="too large"):
            client.get(f"{server.url}/1001")
        known.add(response.extensions["server"])
        assert len(client.get(f"{server.url}/2000").content) == 2000
        with pytest.raises(httpx.DecodingError, match="too large"):
            client.get(f"{server.url}/2001")


def test_a_compressed_response_is_refused() -> None:
    with (
        answering(lambda asked: Reply(body=b"xxx", headers={"Content-Encoding": "gzip"})) as server,
        httpx.Client(transport=GuardedTransport()) as client,
        pytest.raises(httpx.DecodingError, match="encoding that was not requested"),
    ):
        client.get(server.url)


def test_timeouts_are_points_in_time() -> None:
    deadline = time.monotonic() + 100
    timeouts = guard.timeouts(deadline)
    assert timeouts["connect"] == timeouts["read"] == timeouts["write"] == deadline
    assert 90 < timeouts["pool"] <= 100
    with pytest.raises(httpcore.ReadTimeout):
        guard.left(time.monotonic() - 1)
