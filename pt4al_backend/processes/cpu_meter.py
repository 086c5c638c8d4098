"""How much processor time a process gets, compared with how much it wants.

For each thread, Linux counts how long it ran and how long it was queued for a processor (schedstat). Neither includes
time spent waiting for a disk, a network or a GPU, so a process that runs little is not necessarily starved.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from pathlib import Path
from typing import NamedTuple

WINDOW = 20.0  # seconds that a measurement covers
_TASKS = Path("/proc/self/task")


class CpuUse(NamedTuple):
    """Processor time per second: 0.12 is 12 % of one processor."""

    got: float
    """How long the process ran."""
    wanted: float
    """How long it ran or was queued."""


class CpuMeter:
    """Measures the processor time of this process over the last seconds."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[int, int]] = {}
        self._spans: deque[tuple[float, float, float]] = deque()  # in seconds: start, run, queued
        self._measured_at = time.monotonic()

    def measure(self) -> CpuUse | None:
        """Measure the last `WINDOW` seconds, or the time since the first call.

        Returns:
            None at the first call, and on a system that does not count.
        """
        now, threads = time.monotonic(), _threads()
        increments = [
            (run - run_before, queued - queued_before)
            for thread, (run, queued) in threads.items()
            for run_before, queued_before in [self._before.get(thread, (0, 0))]
        ]
        first = not self._before
        since, self._measured_at, self._before = self._measured_at, now, threads
        if first or not threads:
            return None
        run, queued = (sum(nanoseconds) / 1e9 for nanoseconds in zip(*increments, strict=True))
        self._spans.append((since, run, queued))
        while self._spans[0][0] < now - WINDOW and len(self._spans) > 1:
            self._spans.popleft()
        seconds = max(now - self._spans[0][0], 1e-3)
        run, queued = (sum(span[k] for span in self._spans) for k in (1, 2))
        return CpuUse(got=run / seconds, wanted=min((run + queued) / seconds, float(_processors())))


def _threads() -> dict[str, tuple[int, int]]:
    """Nanoseconds that each thread ran and was queued; empty if the system does not count them."""
    threads = {}
    with contextlib.suppress(OSError):  # the system has no such files
        for task in _TASKS.iterdir():
            with contextlib.suppress(OSError, ValueError):  # the thread has ended
                run, queued, _ = (task / "schedstat").read_text().split()
                threads[task.name] = int(run), int(queued)
    return threads


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
