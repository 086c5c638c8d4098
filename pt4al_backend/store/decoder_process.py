"""The process that decodes image files of strangers for `decoders.Decoders`, one at a time: `python -m` this.

Whatever a file does, it costs no more than this process, which the system ends after some seconds of work and to which
it gives no more than some memory (on Linux; elsewhere as far as the system can). Standard input is one end of a
connection: requests come as a line of JSON, with as many bytes behind it as its `length` says, and so go the answers.
It ends when the other end is closed, and so with the process that asked, whatever it is doing.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import IO, Any

SECONDS = 10.0  # of work (processor time) on one image: it is the same on a busy machine
MEMORY = 1_000_000_000  # bytes, for all that this process holds

Requests = queue.SimpleQueue[tuple[dict[str, Any], bytes]]


def main() -> None:
    """Answer requests until nobody is there to ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent, which ends us
    _accept_limits()
    with socket.socket(fileno=os.dup(sys.stdin.fileno())) as connection:
        incoming, outgoing = connection.makefile("rb"), connection.makefile("wb")
        requests: Requests = queue.SimpleQueue()
        threading.Thread(target=_read, args=(incoming, requests), daemon=True).start()
        _serve(requests, outgoing)


def _serve(requests: Requests, outgoing: IO[bytes]) -> None:
    from pt4al_backend.errors import UnreadableImageError
    from pt4al_backend.store.decode import open_image

    _one_thread_each()
    _send(outgoing, {"ready": True})
    left = SECONDS
    while True:
        request, data = requests.get()
        answer: dict[str, Any]
        content = b""
        try:
            if "side" in request:  # a new image
                signal.setitimer(signal.ITIMER_PROF, SECONDS)  # whose default is the end of the process
                opened = None
                opened = open_image(data, side=request["side"], max_pixels=request["max_pixels"])
                pixels = opened.image.width * opened.image.height
                answer = {"width": opened.width, "height": opened.height, "pixels": pixels}
            else:
                signal.setitimer(signal.ITIMER_PROF, left)
                assert opened is not None
                array, note = opened.pixels()
                answer, content = {"note": note}, array.tobytes()
                opened = None
        except UnreadableImageError as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer, opened = {"error": f"The image needs more than {MEMORY / 1e9:g} GB of memory to be decoded."}, None
        left, _ = signal.setitimer(signal.ITIMER_PROF, 0)
        del data
        _send(outgoing, answer, content)


def _read(incoming: IO[bytes], requests: Requests) -> None:
    # OSError and ValueError: the other end was closed with an answer unread, or in the middle of a request.
    with contextlib.suppress(OSError, ValueError):
        while line := incoming.readline():
            request = json.loads(line)
            requests.put((request, incoming.read(request["length"])))
    os._exit(0)


def _send(outgoing: IO[bytes], answer: dict[str, Any], content: bytes = b"") -> None:
    outgoing.write(json.dumps(answer | {"length": len(content)}).encode() + b"\n" + content)
    outgoing.flush()


def _accept_limits() -> None:
    for limit, most in ((resource.RLIMIT_DATA, MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # the system has a stricter one, or none
            resource.setrlimit(limit, (most, most))
    with contextlib.suppress(OSError):  # Linux: where memory runs out, an image is lost and no work
        Path("/proc/self/oom_score_adj").write_text("1000")


def _one_thread_each() -> None:
    """Of AVIF, whose decoder would start as many as there are cores: there are several of this process."""
    avif: Any = sys.modules.get("PIL.AvifImagePlugin")
    if avif is not None:
        avif.DEFAULT_MAX_THREADS = 1


if __name__ == "__main__":
    main()
