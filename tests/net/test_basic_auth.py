"""Checked against the example of RFC 7617, and against the server's side of it."""

from __future__ import annotations

import base64

from pt4al_backend.net.basic_auth import basic_auth


def test_the_example_of_the_standard() -> None:
    assert basic_auth("Aladdin:open sesame") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="


def test_text_is_sent_as_utf_8_and_bytes_unchanged() -> None:
    assert base64.b64decode(basic_auth("jürgen:pä:ss").removeprefix("Basic ")) == "jürgen:pä:ss".encode()
    assert basic_auth("jürgen:pä:ss".encode()) == basic_auth("jürgen:pä:ss")
    assert basic_auth(b"\xff:x") == "Basic /zp4"
