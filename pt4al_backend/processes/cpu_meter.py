"""How much of the processors a process gets, beside what it asks for.

Linux counts for each thread how long it ran and how long it stood in the queue of a processor (schedstat). Time spent
waiting for a disk, a network or a GPU is in neither, so that little use alone is no sign of being starved.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

WINDOW = 20.0  # seconds that are looked at
_TASKS = Path("/proc/self/task")


class CpuUse(NamedTuple):
    """In processors, so that 0.12 is 12 % of one."""

    got: float
    wanted: float


class CpuMeter:
    """What this process got and wanted in the last seconds."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[int, int]] = {}
        self._spans: deque[tuple[float, float, float]] = deque()  # seconds: since when, run, queued
        self._at = time.monotonic()

    def measure(self) -> CpuUse | None:
        """Since `WINDOW` seconds ago, or the first call; None where the system does not count."""
        now, threads = time.monotonic(), _threads()
        fresh = [
            (run - was[0], queued - was[1])
            for thread, (run, queued) in threads.items()
            for was in [self._before.get(thread, (0, 0))]
        ]
        first = not self._before
        since, self._at, self._before = self._at, now, threads
        if first or not threads:
            return None
        self._spans.append((since, sum(run for run, _ in fresh) / 1e9, sum(queued for _, queued in fresh) / 1e9))
        while self._spans[0][0] < now - WINDOW and len(self._spans) > 1:
            self._spans.popleft()
        seconds = max(now - self._spans[0][0], 1e-3)
        run, queued = (sum(span[k] for span in self._spans) for k in (1, 2))
        return CpuUse(got=run / seconds, wanted=min((run + queued) / seconds, float(_processors())))


def _threads() -> dict[str, tuple[int, int]]:
    """Nanoseconds that each thread ran and was queued for; empty where they are not counted."""
    found = {}
    with contextlib.suppress(OSError):  # no such files here
        for task in _TASKS.iterdir():
            with contextlib.suppress(OSError, ValueError):  # the thread has ended
                run, queued, _ = (task / "schedstat").read_text().split()
                found[task.name] = int(run), int(queued)
    return found


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
