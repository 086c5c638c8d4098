"""The process that decodes untrusted image files for `decoders.Decoders`, one at a time; run with `python -m`.

Whatever a file does, it costs no more than this process: the system kills it after some seconds of work and limits its
memory (on Linux; elsewhere as far as the system can). Standard input is one end of a connection. Requests and responses
are a line of JSON each, followed by as many bytes as its `length` says. The process exits as soon as the other end is
closed, and therefore with its parent, whatever it is doing.
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

SECONDS = 10.0  # of processor time for one image: the same on a busy machine
MEMORY = 1_000_000_000  # bytes for the whole process

Requests = queue.SimpleQueue[tuple[dict[str, Any], bytes]]


def main() -> None:
    """Answer requests until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent, which ends this process
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
            if "sides" in request:  # a new image
                signal.setitimer(signal.ITIMER_PROF, SECONDS)  # its signal kills the process
                opened = None
                opened = open_image(data, *request["sides"], max_pixels=request["max_pixels"])
                pixels = opened.image.width * opened.image.height
                answer = {"width": opened.width, "height": opened.height, "pixels": pixels}
            elif "ping" in request:
                answer = {}
            else:
                signal.setitimer(signal.ITIMER_PROF, left)
                assert opened is not None
                arrays, note = opened.pixels()
                answer, content = {"note": note}, b"".join(array.tobytes() for array in arrays)
                opened = None
        except UnreadableImageError as error:
            answer = {"error": str(error)}
        except MemoryError:
            answer, opened = {"error": f"The image needs more than {MEMORY / 1e9:g} GB of memory to be decoded."}, None
        left, _ = signal.setitimer(signal.ITIMER_PROF, 0)
        del data
        _send(outgoing, answer, content)


def _read(incoming: IO[bytes], requests: Requests) -> None:
    # OSError and ValueError: the other end was closed with a response unread, or in the middle of a request.
    with contextlib.suppress(OSError, ValueError):
        while line := incoming.readline():
            request = json.loads(line)
            data = incoming.read(request["length"])
            if len(data) < request["length"]:
                break
            requests.put((request, data))
    os._exit(0)


def _send(outgoing: IO[bytes], answer: dict[str, Any], content: bytes = b"") -> None:
    try:
        outgoing.write(json.dumps(answer | {"length": len(content)}).encode() + b"\n" + content)
        outgoing.flush()
    except OSError:  # the other end was closed
        os._exit(0)


def _accept_limits() -> None:
    for resource_, limit in ((resource.RLIMIT_DATA, MEMORY), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # the system has a stricter limit, or none
            resource.setrlimit(resource_, (limit, limit))
    with contextlib.suppress(OSError):  # Linux: if memory runs out, kill this process first: only an image is lost
        Path("/proc/self/oom_score_adj").write_text("1000")


def _one_thread_each() -> None:
    """Limit the AVIF decoder, which would start a thread per core in each of these processes."""
    avif: Any = sys.modules.get("PIL.AvifImagePlugin")
    if avif is not None:
        avif.DEFAULT_MAX_THREADS = 1


if __name__ == "__main__":
    main()
