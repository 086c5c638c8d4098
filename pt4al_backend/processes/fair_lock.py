"""Projects take turns: one at a time works, and one that waits for its Label Studio lets the others work.

Every project has its own thread, so that no project's requests delay another's. Everything that is not a request runs
under one lock, granted in the order in which the threads asked for it, so code in a turn needs no other locks.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from pt4al_backend.labelling.platform import Drawing, LabellingPlatform, ProjectInfo, TaskState, Window
from pt4al_backend.labelling.questions import Question


class _ClosedError(BaseException):
    """Ends a thread, whatever it was doing."""


class FairLock:
    """A lock that is granted in the order of requests, and that its holder may release for a while."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._line: deque[int] = deque()  # threads: the first holds the lock, the others wait for it
        self._closed = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock."""
        self._acquire()
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release the lock until the block ends, if this thread holds it."""
        if not self._is_held_here():
            yield
            return
        self._release()
        try:
            yield
        finally:
            self._acquire()

    def enqueue(self, thread: int) -> None:
        """Put a thread into the line before it asks for the lock itself."""
        with self._changed:
            self._line.append(thread)

    def wait_until_free(self) -> None:
        """Wait until no thread holds the lock or waits for it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._line)

    def close(self) -> None:
        """From now on, a thread that asks for the lock ends."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_held_here(self) -> bool:
        with self._changed:
            return bool(self._line) and self._line[0] == threading.get_ident()

    def _acquire(self) -> None:
        thread = threading.get_ident()
        with self._changed:
            if thread not in self._line:
                self._line.append(thread)
            self._changed.wait_for(lambda: self._closed or self._line[0] == thread)
            if self._closed:
                raise _ClosedError

    def _release(self) -> None:
        with self._changed:
            if self._line and self._line[0] == threading.get_ident():  # else the lock was closed meanwhile
                self._line.popleft()
            self._changed.notify_all()


class TurnThread:
    """A thread for the turns of one project, one after the other. It never keeps the process from ending."""

    def __init__(self, lock: FairLock, name: str) -> None:
        self.has_more = False
        """What the last turn returned."""
        self.running = False
        """Whether a turn is under way."""
        self._lock = lock
        self._turns: queue.SimpleQueue[Callable[[], bool] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, turn: Callable[[], bool]) -> None:
        """Take a turn, unless the last one is still under way. An error of the last turn is raised here."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        if not self.running:
            self.running, self.has_more = True, False
            self._lock.enqueue(self._thread.ident or 0)
            self._turns.put(turn)

    def finish(self, last: Callable[[], bool] | None = None) -> None:
        """End after the current turn and a `last` one."""
        if last:
            self._turns.put(last)
        self._turns.put(None)

    def ends(self, seconds: float) -> bool:
        """Whether the thread ends within so many seconds, once the lock was closed during its turn."""
        self._thread.join(max(seconds, 0))
        return not self._thread.is_alive()

    def _run(self) -> None:
        with suppress(_ClosedError):
            while turn := self._turns.get():
                with self._lock.held():
                    try:
                        self.has_more = turn()
                    except Exception as error:
                        self._error = error
                    self.running = False


class UnlockedPlatform:
    """A `LabellingPlatform` that releases the lock while it waits for responses."""

    def __init__(self, platform: LabellingPlatform, lock: FairLock) -> None:
        self._platform = platform
        self._lock = lock

    def is_connected(self) -> bool:
        """See `LabellingPlatform`, here and below."""
        with self._lock.released():
            return self._platform.is_connected()

    def project(self) -> ProjectInfo:
        with self._lock.released():
            return self._platform.project()

    def tasks(self, since: str | None) -> Iterator[tuple[list[TaskState], str]]:
        pages = self._platform.tasks(since)
        while True:
            with self._lock.released():
                page = next(pages, None)
            if page is None:
                return
            yield page

    def missing(self, known: Sequence[int]) -> set[int]:
        with self._lock.released():
            return self._platform.missing(known)

    def images_behind(self, task: int) -> dict[int, str]:
        with self._lock.released():
            return self._platform.images_behind(task)

    def images_of(self, tasks: Sequence[int]) -> dict[int, str]:
        with self._lock.released():
            return self._platform.images_of(tasks)

    def image(self, task: int, value: str) -> bytes:
        return self._platform.image(task, value)

    def image_name(self, task: int, value: str) -> str:
        return self._platform.image_name(task, value)

    def drawing(
        self, question: Question, regions: Sequence[dict[str, Any]], *, side: int, size: tuple[int, int]
    ) -> Drawing:
        return self._platform.drawing(question, regions, side=side, size=size)

    def publish(self, window: Window) -> None:
        with self._lock.released():
            self._platform.publish(window)

    def sweep(self, keep: Collection[str]) -> bool:
        with self._lock.released():
            return self._platform.sweep(keep)

    def close(self) -> None:
        self._platform.close()
