"""Projects take turns: one at a time works, and whoever waits for its Label Studio lets the others work.

Every project has a thread of its own, so that no project's requests hold up another's. All that is not a request is
done under one lock, by one thread at a time and in the order in which they asked: what runs there needs no other locks.
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
    """Ends a thread, whatever it was about."""


class FairLock:
    """A lock that is granted in the order of arrival, and that its holder may release for a while."""

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
        """Let others have the lock meanwhile, where this thread holds it."""
        if not self._is_mine():
            yield
            return
        self._release()
        try:
            yield
        finally:
            self._acquire()

    def enqueue(self, thread: int) -> None:
        """Give a thread its place in the line before it asks for the lock."""
        with self._changed:
            self._line.append(thread)

    def wait_until_free(self) -> None:
        """Wait until nobody holds the lock or wants it."""
        with self._changed:
            self._changed.wait_for(lambda: not self._line)

    def close(self) -> None:
        """Whoever asks for the lock from now on ends its thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_mine(self) -> bool:
        with self._changed:
            return bool(self._line) and self._line[0] == threading.get_ident()

    def _acquire(self) -> None:
        me = threading.get_ident()
        with self._changed:
            if me not in self._line:
                self._line.append(me)
            self._changed.wait_for(lambda: self._closed or self._line[0] == me)
            if self._closed:
                raise _ClosedError

    def _release(self) -> None:
        with self._changed:
            if self._line and self._line[0] == threading.get_ident():  # else it was closed meanwhile
                self._line.popleft()
            self._changed.notify_all()


class TurnThread:
    """A thread that takes the turns of one project, one after the other. It never keeps the process from ending."""

    def __init__(self, lock: FairLock, name: str) -> None:
        self.has_more = False  # what the last turn returned
        self._lock = lock
        self.running = False  # whether a turn is under way
        self._turns: queue.SimpleQueue[Callable[[], bool] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, turn: Callable[[], bool]) -> None:
        """Take a turn, unless the last one is still under way. Raises what the last one raised."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        if not self.running:
            self.running, self.has_more = True, False
            self._lock.enqueue(self._thread.ident or 0)
            self._turns.put(turn)

    def finish(self, last: Callable[[], bool] | None = None) -> None:
        """End when the turn that is under way is over, and a last one."""
        if last:
            self._turns.put(last)
        self._turns.put(None)

    def ends(self, seconds: float) -> bool:
        """Whether the thread ends within so long, after the lock was closed while a turn was under way."""
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
    """A `LabellingPlatform` that releases the lock while it waits for answers."""

    def __init__(self, platform: LabellingPlatform, lock: FairLock) -> None:
        self._platform = platform
        self._lock = lock

    def is_connected(self) -> bool:
        """See `LabellingPlatform`, as for all of these."""
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
