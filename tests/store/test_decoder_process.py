from __future__ import annotations

import select
import socket
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("read_first", "sent"),
    [
        (True, b""),
        (False, b""),
        (True, b'{"length": 9}\nfour'),
        (True, b'{"len'),
        (True, b'{"sides": [8], "max_pixels": 99, "length": 0}\n'),
        (True, b'{"ping": true, "length": 0}\n' * 1000),
    ],
)
def test_it_exits_however_the_connection_is_closed(read_first: bool, sent: bytes) -> None:
    """With an unread response, for example after a kill, the connection is reset instead of closed."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        decoder = subprocess.Popen(
            [sys.executable, "-m", "pt4al_backend.store.decoder_process"], stdin=theirs, stderr=subprocess.PIPE
        )
        theirs.close()
        assert select.select([ours], [], [], 60)[0]  # it is ready
        if read_first:
            ours.recv(1000)
        ours.sendall(sent)
    try:
        assert decoder.communicate(timeout=60)[1] == b""
    finally:
        decoder.kill()
    assert decoder.returncode == 0
