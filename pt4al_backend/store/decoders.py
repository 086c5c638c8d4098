"""Decode image files in child processes, so that no file costs more than some seconds, some memory, and itself.

Neither `multiprocessing` nor `concurrent.futures`: their answers are pickled, and what has decoded a stranger's
file is not to be trusted with that; and a worker that dies takes the others' tasks with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.store.decoder_process import SECONDS

MOST = 4  # processes of one `Decoders`: as many as there are cores, but not more
PATIENCE = 60.0  # seconds without an answer, also on a machine that gives a process no time
PIXELS_AT_ONCE = 50_000_000  # decoded at the same time: one takes up to 12 bytes
MAX_PIXELS = 100_000_000
CLOSED = "No more images are decoded."


@dataclass(frozen=True)
class DecodedImage:
    """An image that was read."""

    pixels: NDArray[np.uint8]
    """RGB (side, side, 3), upright."""
    width: int
    """Of the upright image."""
    height: int
    note: str
    """One sentence where something is odd with the file, else ""."""


class Decoders:
    """Child processes that decode, started when they are needed. Any number of threads may share them.

    They end with `close`, or with this process. Who has bad images keeps only their own decoders busy: let those of
    different people have different ones.
    """

    def __init__(self) -> None:
        self._slots = threading.Semaphore(min(_cores(), MOST))
        self._room = _Room(PIXELS_AT_ONCE)
        self._changing = threading.Lock()
        self._idle: list[_Decoder] = []
        self._all: set[_Decoder] = set()
        self._closed = False

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def decode(self, data: bytes, *, size: int, max_pixels: int = MAX_PIXELS) -> DecodedImage:
        """See `decode.decode`. Raises UnreadableImageError with the reason, also where its decoder has died of it."""
        with self._decoder() as decoder:
            opened, _ = decoder.ask({"side": size, "max_pixels": max_pixels}, data)
            with self._room.for_pixels(opened["pixels"]):
                answer, content = decoder.ask({})
        pixels = np.frombuffer(bytearray(content), dtype=np.uint8).reshape(size, size, 3)
        return DecodedImage(pixels, opened["width"], opened["height"], answer["note"])

    def probe_size(self, data: bytes) -> tuple[int, int]:
        """See `decode.probe_size`. Raises as `decode` does."""
        with self._decoder() as decoder:
            opened, _ = decoder.ask({"side": 0, "max_pixels": None}, data)
        return opened["width"], opened["height"]

    def close(self) -> None:
        """End all processes, also those at work: whoever waits for one gets an error."""
        with self._changing:
            self._closed, decoders = True, list(self._all)
            self._all.clear()
            self._idle.clear()
        for decoder in decoders:
            decoder.end()

    @contextmanager
    def _decoder(self) -> Iterator[_Decoder]:
        with self._slots:
            decoder = self._taken()
            try:
                yield decoder
            finally:
                with self._changing:
                    if decoder.works and not self._closed:
                        self._idle.append(decoder)
                    else:
                        self._all.discard(decoder)
                if decoder not in self._all:
                    decoder.end()

    def _taken(self) -> _Decoder:
        """An idle one, or a new one."""
        with self._changing:
            if self._closed:
                raise PT4ALError(CLOSED)
            while self._idle:
                decoder = self._idle.pop()
                if decoder.lives():
                    return decoder
                self._all.discard(decoder)
                decoder.end()
        decoder = _Decoder()
        with self._changing:
            closed = self._closed
            if not closed:
                self._all.add(decoder)
        if closed:
            decoder.end()
            raise PT4ALError(CLOSED)
        return decoder


class _Decoder:
    """One child process. For one thread at a time, but for `end`."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "pt4al_backend.store.decoder_process"],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
                )
        except OSError:
            ours.close()
            raise
        self.works = True
        self._ending = threading.Lock()
        self._connection = ours
        ours.settimeout(PATIENCE)
        self._stream = ours.makefile("rwb")
        try:
            self._receive()
        except (OSError, ValueError):
            code = self.end()
            raise PT4ALError(f"The process that decodes images does not start ({code}): look into the log.") from None

    def ask(self, request: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Its answer to a request. `UnreadableImageError` if that is a refusal, or if the process dies instead."""
        try:
            self._stream.write(json.dumps(request | {"length": len(data)}).encode() + b"\n")
            self._stream.write(data)
            self._stream.flush()
            answer, content = self._receive()
        except TimeoutError:
            self.end()
            raise UnreadableImageError(f"The image was not decoded within {PATIENCE:g} s.") from None
        except (OSError, ValueError):
            raise UnreadableImageError(_why_it_died(self.end())) from None
        if "error" in answer:
            raise UnreadableImageError(answer["error"])
        return answer, content

    def lives(self) -> bool:
        """Whether nothing has ended it while it was idle."""
        return self._process.poll() is None

    def end(self) -> int:
        """End the process, whatever it does. How it has ended, as `Popen.returncode` says it."""
        with self._ending:
            self.works = False
            self._process.kill()  # nothing, where it has ended
            code = self._process.wait()
            with contextlib.suppress(OSError):  # what could not be sent any more
                self._stream.close()
            self._connection.close()
            return code

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        line = self._stream.readline()
        answer: dict[str, Any] = json.loads(line)  # ValueError where the process is gone, too
        content = self._stream.read(answer["length"])
        if len(content) < answer["length"]:
            raise ValueError("the process ended while it answered")
        return answer, content


class _Room:
    """Lets threads work on so many pixels at a time, all together; one image may always."""

    def __init__(self, pixels: int) -> None:
        self._all = self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def for_pixels(self, pixels: int) -> Iterator[None]:
        wanted = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= wanted)
            self._free -= wanted
        try:
            yield
        finally:
            with self._changed:
                self._free += wanted
                self._changed.notify_all()


def _why_it_died(code: int) -> str:
    if code == -signal.SIGPROF:
        return f"The image takes more than {SECONDS:g} s to decode."
    if code == -signal.SIGKILL:
        return "The system ended the image's decoder, as it does when memory runs out."
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"The image crashes its decoder ({name})."


def _cores() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
