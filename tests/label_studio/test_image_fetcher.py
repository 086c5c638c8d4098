"""Fetching over real sockets: two servers on two ports are two origins."""

from __future__ import annotations

import base64
import gzip
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from support.image_servers import IMAGE, TOKEN, Answer, Handler, Net, image, reason, redirect
from support.processes import free_port

from pt4al_backend.errors import LabelStudioError, LabelStudioUnavailableError, UnreadableImageError
from pt4al_backend.label_studio import image_fetcher


@pytest.fixture
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    monkeypatch.setattr(image_fetcher, "RETRY_PAUSES", (0.01, 0.02))
    with closing(Net()) as net:
        yield net


@pytest.mark.parametrize(
    ("prefix", "value", "asked"),
    [
        ("", "/data/upload/1/a b#c.png", "/data/upload/1/a%20b"),
        ("", "/data/upload/1/a%20%C3%A4.png", "/data/upload/1/a%20%C3%A4.png"),
        ("", "/data/local-files/?d=dir/1.jpg", "/data/local-files/?d=dir/1.jpg"),
        ("", r"/data/local-files/?d=dir%5C1.jpg", r"/data/local-files/?d=dir%5C1.jpg"),
        ("", r"/data\upload/1\a.png?b=\c", r"/data/upload/1/a.png?b=\c"),
        ("", "  /data/upload/1/a.png\n", "/data/upload/1/a.png"),
        ("/label-studio", "/data/upload/1/a.png", "/label-studio/data/upload/1/a.png"),
        ("/label-studio/", "/data/upload/1/a.png", "/label-studio/data/upload/1/a.png"),
        ("/label-studio", "/label-studio/data/upload/1/a.png", "/label-studio/data/upload/1/a.png"),
        ("/label-studio", "/label-studio-2/a.png", "/label-studio/label-studio-2/a.png"),
    ],
)
def test_paths_are_asked_of_label_studio_with_its_token(net: Net, prefix: str, value: str, asked: str) -> None:
    studio = net.serve(image)
    assert net.fetcher(studio.url + prefix).fetch(value, task_id=7) == IMAGE
    assert studio.seen == [(asked, TOKEN)]


def test_storage_uris_are_resolved_per_task_and_the_redirect_goes_without_token(net: Net) -> None:
    bucket = net.serve(image)
    studio = net.serve(redirect(f"{bucket.url}/signed?X-Sig=abc"))
    uri = "s3://my-bucket/über dir/1.jpg?x=1"
    assert net.fetcher(f"{studio.url}/ls").fetch(uri, task_id=42) == IMAGE
    [(asked, token)] = studio.seen
    assert urlsplit(asked).path == "/ls/tasks/42/resolve/"
    assert base64.urlsafe_b64decode(parse_qs(urlsplit(asked).query)["fileuri"][0]).decode() == uri
    assert token == TOKEN
    assert bucket.seen == [("/signed?X-Sig=abc", None)]


def test_the_token_goes_to_its_own_scheme_host_and_port_only(net: Net) -> None:
    studio, other = net.serve(image), net.serve(image)
    fetcher = net.fetcher(studio.url)
    fetcher.fetch(f"{studio.url}/data/upload/1/a.png", task_id=7)
    fetcher.fetch(f"{other.url}/a.png", task_id=7)
    fetcher.fetch(f"http://localhost:{studio.server_port}/a.png", task_id=7)
    fetcher.fetch(f"//127.0.0.1:{other.server_port}/b.png", task_id=7)
    assert [token for _, token in studio.seen] == [TOKEN, None]
    assert [token for _, token in other.seen] == [None, None]


def test_a_stranger_cannot_redirect_into_label_studio_with_its_token(net: Net) -> None:
    studio = net.serve(lambda h: redirect(back)(h) if h.path == "/out" else image(h))
    stranger = net.serve(redirect(f"{studio.url}/api/users"))
    back = f"{stranger.url}/x"
    fetcher = net.fetcher(studio.url)
    fetcher.fetch(f"{stranger.url}/x", task_id=7)
    fetcher.fetch("/out", task_id=7)
    assert studio.seen == [("/api/users", None), ("/out", TOKEN), ("/api/users", None)]


@pytest.mark.parametrize("refusal", [{"status": 401}, {"status": 403}, {"status": 200, "Content_Type": "text/html"}])
def test_a_way_back_without_the_token_is_the_fault_of_that_image(net: Net, refusal: dict[str, Any]) -> None:
    """As of an address with http where a proxy asks for https."""
    studio = net.serve(lambda h: h.reply(**refusal) if h.headers["Authorization"] is None else image(h))
    proxy = net.serve(lambda h: redirect(studio.url + h.path)(h))
    fetcher = net.fetcher(studio.url)
    said = reason(fetcher, f"{proxy.url}/data/upload/1/a.png")
    assert "/data/upload/1/a.png: Label Studio asks for its token" in said
    assert said.endswith(f"begin the task's image with {studio.url}, or give only the path.")
    assert fetcher.fetch("/data/upload/1/a.png", task_id=7) == IMAGE


def test_a_user_and_password_in_a_url_are_sent_to_that_host(net: Net) -> None:
    studio, other = net.serve(image), net.serve(image)
    net.fetcher(studio.url).fetch(f"http://me:p%40ss@127.0.0.1:{other.server_port}/a.png", task_id=7)
    assert other.seen == [("/a.png", "Basic " + base64.b64encode(b"me:p@ss").decode())]


def test_redirects_are_relative_followed_by_hand_and_bounded(net: Net) -> None:
    studio = net.serve(lambda h: image(h) if h.path == "/a/5" else redirect(str(int(h.path[3:]) + 1))(h))
    fetcher = net.fetcher(studio.url)
    assert fetcher.fetch("/a/0", task_id=7) == IMAGE
    assert reason(fetcher, "/a/6") == "/a/6: more than 5 redirects."


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://h/x", "data:,x", "http://h:99999/"])
def test_a_redirect_is_checked_like_the_first_url(net: Net, target: str) -> None:
    studio = net.serve(redirect(target))
    assert reason(net.fetcher(studio.url), "/x").startswith("/x redirects to no valid address")
    assert len(studio.seen) == 1


def test_a_data_uri_is_the_image_itself(net: Net) -> None:
    uri = "data:image/png;base64," + base64.b64encode(IMAGE).decode()
    assert net.fetcher("http://127.0.0.1:1").fetch(uri, task_id=7) == IMAGE


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        (None, "is a NoneType, not text"),
        ("file:///etc/passwd", "file: addresses are not fetched"),
        ("upload/1/a.png?sig=abc", "upload/1/a.png is a bare path"),
        ("http://", "is not a valid address"),
        ("http://host:port/a.png", "is not a valid address"),
        ("http://host/\ud800", "is not a valid address"),
        ("http://host/a\nHost: b", "is not a valid address"),
        ("data:image/png;base64", "no comma"),
        ("data:," + "x" * 1001, "larger than 1,000 bytes"),
    ],
)
def test_everything_else_is_refused_with_a_sentence(net: Net, value: object, says: str) -> None:
    text = reason(net.fetcher("http://127.0.0.1:1", bytes=1000), value)
    assert says in text
    assert text.endswith(".")
    assert "sig=abc" not in text


def endless(handler: Handler) -> None:
    handler.reply(200, Content_Length="", Connection="close")
    while True:
        handler.wfile.write(b"x" * 65536)


def understated(handler: Handler) -> None:
    handler.reply(200, b"x" * 5000, Content_Length="10")
    handler.close_connection = True


def bomb(handler: Handler) -> None:
    handler.reply(200, gzip.compress(bytes(20_000_000)), Content_Encoding="gzip")


def test_size_is_bounded_whatever_the_server_says(net: Net) -> None:
    for answer in (endless, bomb, lambda h: h.reply(200, b"x", Content_Length="1001")):
        studio = net.serve(answer)
        text = reason(net.fetcher(studio.url, bytes=1000), "/x")
        assert text == "/x: larger than 1,000 bytes, the limit for one image."
    studio = net.serve(understated)
    assert net.fetcher(studio.url, bytes=1000).fetch("/x", task_id=7) == b"x" * 10
    studio = net.serve(lambda h: h.reply(200, b"x" * 1000))
    assert len(net.fetcher(studio.url, bytes=1000).fetch("/x", task_id=7)) == 1000


@pytest.mark.parametrize(
    ("body", "encoding", "says"),
    [
        (gzip.compress(IMAGE, mtime=0), "gzip", None),
        (gzip.compress(IMAGE, mtime=0), "deflate, gzip", "an encoding that was not requested"),
        (gzip.compress(IMAGE, mtime=0), "br", "an encoding that was not requested"),
        (gzip.compress(IMAGE, mtime=0)[:-9], "gzip", "ends too early"),
        (b"no gzip", "gzip", "is damaged"),
    ],
)
def test_compressed_bodies(net: Net, body: bytes, encoding: str, says: str | None) -> None:
    studio = net.serve(lambda h: h.reply(200, body, Content_Encoding=encoding))
    fetcher = net.fetcher(studio.url)
    if says is None:
        assert fetcher.fetch("/x", task_id=7) == IMAGE
    else:
        assert says in reason(fetcher, "/x")


@pytest.mark.parametrize(
    ("status", "path", "says"),
    [
        (403, "/data/local-files/?d=a.png", "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true"),
        (403, "/data/upload/1/a.png", "make that user a member"),
        (404, "/data/local-files/?d=a.png", "add one in the project's Cloud Storage settings"),
        (404, "s3://bucket/a.png", "check the project's storage connection"),
        (424, "s3://bucket/a.png", "check the project's storage connection"),
        (404, "/data/upload/1/a.png", "the uploaded file is gone"),
        (500, "/data/upload/1/a.png", "the uploaded file is gone"),
        (400, "/data/local-files/?d=../a", "Label Studio answers 400 Bad Request for /data/local-files/?d=../a."),
        (299, "/x", "Label Studio answers 299 for /x."),
    ],
)
def test_label_studios_refusals_come_with_advice(net: Net, status: int, path: str, says: str) -> None:
    studio = net.serve(lambda h: h.reply(status))
    text = reason(net.fetcher(studio.url), path)
    assert text.startswith(f"Label Studio answers {status}")
    assert says in text


def test_a_refused_token_is_no_fault_of_the_image(net: Net) -> None:
    studio = net.serve(lambda h: h.reply(401))
    with pytest.raises(LabelStudioError, match="token is missing, wrong or expired; set LABEL_STUDIO_API_KEY"):
        net.fetcher(studio.url).fetch("/data/upload/1/a.png", task_id=1)


def test_other_hosts_refusals(net: Net) -> None:
    other = net.serve(lambda h: h.reply(int(h.path[1:4])))
    fetcher = net.fetcher("http://127.0.0.1:1")
    assert reason(fetcher, f"{other.url}/404") == f"{other.url}/404: 404 Not Found."
    assert "The Label Studio token is only sent to http://127.0.0.1:1." in reason(fetcher, f"{other.url}/401")


def test_a_web_page_is_no_image(net: Net) -> None:
    def log_in(handler: Handler) -> None:
        if handler.path.startswith("/user/login/"):
            return handler.reply(200, b"<html>", Content_Type="text/html; charset=utf-8")
        return redirect("/user/login/?next=/x")(handler)

    studio = net.serve(log_in)
    assert "probably its log-in page: check the token" in reason(net.fetcher(studio.url), "/x")
    text = reason(net.fetcher("http://127.0.0.1:1"), f"{studio.url}/x")
    assert text == (
        f"{studio.url}/x: {studio.url}/user/login/: a web page, not an image: "
        "give the address of the image file itself."
    )


def test_messages_hold_no_secrets(net: Net) -> None:
    server = net.serve(lambda h: h.reply(404))
    port = server.server_port
    for fetcher in (net.fetcher(server.url), net.fetcher("http://127.0.0.1:1")):
        for value in (
            f"http://me:p4ssw0rd@127.0.0.1:{port}/a%0Ab.png?X-Amz-Signature=s1gn#fr4g",
            f"http://me:p4ssw0rd@127.0.0.1:{free_port()}/a.png?X-Amz-Signature=s1gn",
            f"http://me:p4ssw0rd@169.254.0.1:{port}/a.png?X-Amz-Signature=s1gn",
            "http://me:p4ssw0rd@host:x/a.png?X-Amz-Signature=s1gn",
            "me:p4ssw0rd@host/a.png?X-Amz-Signature=s1gn",
            "http:/me:p4ssw0rd@host/a.png%3FX-Amz-Signature=s1gn",
            "http://me:p4ss/p4ssw0rd@host/a.png",
            "http://me:p4ssw0rd?x@host/a.png",
            f"http://p4ssw0rd@127.0.0.1:{free_port()}/a.png",
            f"http://me:p4ssw0rd@127.0.0.1:{port}/data/local-files/?d=a.png&sig=s1gn",
            "file://me:p4ssw0rd@host/a.png?s1gn",
        ):
            text = reason(fetcher, value)
            assert not any(secret in text for secret in ("p4ssw0rd", "s1gn", "fr4g", "s3cret", "\n"))


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("/data/upload/1/a b.png", "/data/upload/1/a b.png"),
        ("/data/local-files/?d=dir/1%20b.jpg", "dir/1 b.jpg"),
        ("s3://bucket/dir/1.jpg", "s3://bucket/dir/1.jpg"),
        ("gs://bucket/dir/1.jpg", "gs://bucket/dir/1.jpg"),
        ("/tasks/3/resolve/?fileuri=czM6Ly9idWNrZXQvMS5qcGc=", "s3://bucket/1.jpg"),
        ("{other}/dir/1.jpg?X-Amz-Signature=s1gn", "/dir/1.jpg"),
        ("//me:s1gn@{host}/dir/1.jpg", "/dir/1.jpg"),
    ],
)
@pytest.mark.parametrize("answer", ["401", "403", "404", "424", "500", "page", "redirect", "loop", "large", "encoding"])
def test_every_sentence_names_the_image(net: Net, value: str, name: str, answer: str) -> None:
    """Whatever is answered, by Label Studio or by where it redirects to; and holds no secrets."""
    answers: dict[str, Answer] = {
        "page": lambda h: h.reply(200, b"<html>", Content_Type="text/html"),
        "loop": lambda h: redirect(f"{h.path}&again=s1gn")(h),
        "large": lambda h: h.reply(200, b"x" * 2000),
        "encoding": lambda h: h.reply(200, b"x", Content_Encoding="br"),
        "redirect": lambda h: redirect(f"{elsewhere.url}/hash-s0-and-so?sig=s1gn")(h),
    }
    elsewhere = net.serve(lambda h: h.reply(404))
    server = net.serve(answers.get(answer) or (lambda h: h.reply(int(answer))))
    host = server.url.removeprefix("http://")
    value = value.format(other=server.url, host=host)
    for home in (server.url, "http://127.0.0.1:1"):
        if home == server.url or host in value:
            with pytest.raises((UnreadableImageError, LabelStudioError)) as caught:
                net.fetcher(home, bytes=1000).fetch(value, task_id=7)
            assert name in unquote(str(caught.value))
            assert "s1gn" not in str(caught.value)


def test_transient_failures_are_tried_three_times(net: Net) -> None:
    def hang_up(handler: Handler) -> None:
        handler.close_connection = True

    def cut_short(handler: Handler) -> None:
        handler.reply(200, b"half", Content_Length="8")
        handler.close_connection = True

    for failure in (hang_up, cut_short, lambda h: h.reply(500), lambda h: h.reply(503)):
        server = net.serve(lambda h, failure=failure: (failure if len(h.server.seen) < 3 else image)(h))
        assert net.fetcher(server.url).fetch("/x", task_id=7) == IMAGE
        assert len(server.seen) == 3
    server = net.serve(cut_short)
    assert "the connection broke" in reason(net.fetcher(server.url), "/x")
    server = net.serve(lambda h: h.reply(404))
    reason(net.fetcher(server.url), "/x")
    assert len(server.seen) == 1


def test_label_studio_away_is_not_the_images_fault(net: Net) -> None:
    def hang_up(handler: Handler) -> None:
        handler.close_connection = True

    for answer in (hang_up, lambda h: h.reply(502), lambda h: time.sleep(1)):
        with pytest.raises(LabelStudioUnavailableError, match="cannot be reached"):
            net.fetcher(net.serve(answer).url, seconds=0.8).fetch("/x", task_id=7)
    away = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(LabelStudioUnavailableError, match=f"Label Studio at {away} cannot be reached"):
        net.fetcher(away).fetch("/x", task_id=7)
    other = f"http://127.0.0.1:{free_port()}"
    assert reason(net.fetcher(away), f"{other}/x").startswith(f"{other}/x: cannot be reached: ")
    assert "does not resolve" in reason(net.fetcher(away), "http://no-such-host.invalid/x")


def test_a_fetch_blocked_inside_label_studio_is_the_images_fault(net: Net) -> None:
    """Label Studio reads the bucket before it answers, so one dead bucket must not stop the project."""
    studio = net.serve(lambda h: time.sleep(1))
    assert "took longer" in reason(net.fetcher(studio.url, seconds=0.3), "s3://bucket/a.png")


def test_many_threads_share_one_fetcher(net: Net) -> None:
    studio = net.serve(lambda h: h.reply(200, h.path.encode()))
    fetcher = net.fetcher(studio.url)
    paths = [f"/data/upload/1/{number}.png" for number in range(200)]
    with ThreadPoolExecutor(8) as threads:
        bodies = list(threads.map(lambda path: fetcher.fetch(path, task_id=7), paths))
    assert bodies == [path.encode() for path in paths]
    assert {token for _, token in studio.seen} == {TOKEN}


def test_without_a_token_none_is_sent(net: Net) -> None:
    studio = net.serve(image)
    net.fetcher(studio.url, token=None).fetch("/x", task_id=7)
    assert studio.seen == [("/x", None)]


def test_proxies_of_the_environment_are_not_used(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, server = net.serve(image), net.serve(image)
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.delenv("no_proxy", raising=False)
    net.fetcher("http://127.0.0.1:1").fetch(f"{server.url}/a.png", task_id=7)
    assert proxy.seen == []
