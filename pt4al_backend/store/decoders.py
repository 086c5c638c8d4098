"""Decodes image files in child processes, so that a hostile file costs only some seconds, some memory, and itself.

Neither `multiprocessing` nor `concurrent.futures` fits: they unpickle what the child sends, and a process that decoded
an untrusted file cannot be trusted with that; and a worker that dies takes the others' tasks with it.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.errors import PT4ALError, UnreadableImageError
from pt4al_backend.store.decoder_process import SECONDS

MOST = 4  # processes of one `Decoders`: one per core, but no more than this
PATIENCE = 60.0  # seconds to wait for a response, even on an overloaded machine
PIXELS_AT_ONCE = 50_000_000  # decoded at the same time: each takes up to 12 bytes
MAX_PIXELS = 100_000_000
CLOSED = "No more images are decoded."


@dataclass(frozen=True)
class DecodedImage:
    """A decoded image."""

    pixels: NDArray[np.uint8]
    """RGB (size, size, 3), upright."""
    width: int
    """Width of the upright image in its file, in pixels."""
    height: int
    """Height of the upright image in its file, in pixels."""
    note: str
    """A sentence about what is odd about the file, or ""."""
    others: tuple[NDArray[np.uint8], ...] = ()
    """The same at other sizes, from the same decoding."""


class Decoders:
    """Child processes that decode, started on demand. Any number of threads may share them.

    They end with `close`, or with this process. Use a `Decoders` per project, so that one with bad images keeps only
    its own processes busy.
    """

    def __init__(self) -> None:
        self._slots = threading.Semaphore(min(_cores(), MOST))
        self._budget = _PixelBudget(PIXELS_AT_ONCE)
        self._changing = threading.Lock()
        self._idle: list[_Decoder] = []
        self._all: set[_Decoder] = set()
        self._closed = False

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def decode(
        self, data: bytes, *, size: int, others: Sequence[int] = (), max_pixels: int = MAX_PIXELS
    ) -> DecodedImage:
        """Decode an image as `decode.decode` does, with the same arguments, and for `others` at other sizes as well.

        Raises:
            UnreadableImageError: The image cannot be decoded, or crashed its decoder; the text says why.
            PT4ALError: The decoders are closed or cannot be started.
        """
        sides = (size, *others)
        with self._decoder() as decoder:
            opened, _ = decoder.ask({"sides": sides, "max_pixels": max_pixels}, data)
            with self._budget.for_pixels(opened["pixels"]):
                answer, content = decoder.ask({})
        ends = np.cumsum([3 * side**2 for side in sides])
        parts = np.split(np.frombuffer(bytearray(content), dtype=np.uint8), ends[:-1])
        pixels, *more = (part.reshape(side, side, 3) for part, side in zip(parts, sides, strict=True))
        return DecodedImage(pixels, opened["width"], opened["height"], answer["note"], tuple(more))

    def probe_size(self, data: bytes) -> tuple[int, int]:
        """Read the size of an image as `decode.probe_size` does. Raises the errors of `decode`."""
        with self._decoder() as decoder:
            opened, _ = decoder.ask({"sides": (), "max_pixels": None}, data)
        return opened["width"], opened["height"]

    def close(self) -> None:
        """Kill all processes, busy or not: whoever waits for one gets an error."""
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
        """An idle decoder, or a new one."""
        while True:
            with self._changing:
                if self._closed:
                    raise PT4ALError(CLOSED)
                decoder = self._idle.pop() if self._idle else None
            if decoder is None:
                break
            if decoder.is_alive():
                return decoder
            with self._changing:
                self._all.discard(decoder)
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
    """A child process. One thread at a time may use it; any thread may call `end`."""

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
            raise PT4ALError(f"The process that decodes images does not start ({code}): see the log.") from None

    def ask(self, request: dict[str, Any], data: bytes = b"") -> tuple[dict[str, Any], bytes]:
        """Send a request and wait for the response.

        Returns:
            The JSON of the response, and the bytes after it.

        Raises:
            UnreadableImageError: The response is an error, or the process died.
        """
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

    def is_alive(self) -> bool:
        """Whether the process still responds: something may have killed it while it was idle.

        It is asked, because a killed process counts as running until the last of its threads has ended.
        """
        try:
            self.ask({"ping": True})
        except UnreadableImageError:
            return False
        return True

    def end(self) -> int:
        """Kill the process, whatever it is doing. Returns its exit code, as in `Popen.returncode`."""
        with self._ending:
            self.works = False
            self._process.kill()  # does nothing if it has exited
            code = self._process.wait()
            with contextlib.suppress(OSError):  # the rest of the request could not be sent
                self._stream.close()
            self._connection.close()
            return code

    def _receive(self) -> tuple[dict[str, Any], bytes]:
        line = self._stream.readline()
        answer: dict[str, Any] = json.loads(line)  # ValueError also if the process is gone
        content = self._stream.read(answer["length"])
        if len(content) < answer["length"]:
            raise ValueError("the process ended in the middle of a response")
        return answer, content


class _PixelBudget:
    """Limits how many pixels all threads decode at the same time; a larger image is decoded alone."""

    def __init__(self, pixels: int) -> None:
        self._total = self._free = pixels
        self._changed = threading.Condition()

    @contextmanager
    def for_pixels(self, pixels: int) -> Iterator[None]:
        wanted = min(pixels, self._total)
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
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
