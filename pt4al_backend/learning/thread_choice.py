"""How many threads compute fastest now: one, or one per core.

Threads of one computation wait for each other many times in every network. Where other programs want the cores, too,
the waiting costs more than it gains: two threads then took five times as long as one.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from pt4al_backend.learning.devices import is_cuda

_TRIALS = 3
"""Steps for which each number of threads is tried."""
_GAIN = 1.25
"""More threads have to be this much faster than one, which leaves the other cores to others."""
_CHANGE = 1.5
"""When steps take longer or less long by this factor, the machine has become busier or idler: try again."""
_REMEMBERED = 8
"""Steps whose median counts."""
_AT_LEAST_SECONDS = 5.0
"""Between two series of trials, so that they stay a small part of the work."""


class ThreadChoice:
    """Measures the steps of a computation, and chooses the number of threads for the next one."""

    _chosen: int | None
    _trials: dict[int, list[float]]
    """Seconds per unit of work, by number of threads."""
    _recent: list[float]
    """The same of the last steps since the choice."""
    _expected: float
    """The same when the choice was made."""
    _since: float
    """When the trials began, by the clock."""

    def __init__(self, most: int, *, clock: Callable[[], float] = time.perf_counter) -> None:
        """Choose between one thread and `most`."""
        self._clock = clock
        self._candidates = sorted({1, most})
        self._start_trials()

    @classmethod
    def on(cls, device: str) -> ThreadChoice:
        """Between one thread and all of PyTorch's; one beside a GPU, which has the work."""
        return cls(1 if is_cuda(device) else torch.get_num_threads())

    @property
    def threads(self) -> int:
        """For the next step."""
        if self._chosen is not None:
            return self._chosen
        return min(self._trials, key=lambda threads: len(self._trials[threads]))

    @contextmanager
    def step(self, work: int) -> Iterator[None]:
        """Compute a step with the number of threads that is due. `work` is its size in any unit, say images."""
        before, threads = torch.get_num_threads(), self.threads
        torch.set_num_threads(threads)
        started = self._clock()
        try:
            yield
        finally:
            torch.set_num_threads(before)
        if len(self._candidates) > 1:
            self._measured(threads, (self._clock() - started) / work)

    def _measured(self, threads: int, seconds: float) -> None:
        """Take the seconds per unit of work into account."""
        if self._chosen is None:
            self._trials[threads].append(seconds)
            if all(len(each) == _TRIALS for each in self._trials.values()):
                self._choose()
            return
        self._recent = [*self._recent[1 - _REMEMBERED :], seconds]
        usual = statistics.median(self._recent)
        changed = not self._expected / _CHANGE < usual < self._expected * _CHANGE
        if changed and len(self._recent) == _REMEMBERED and self._clock() - self._since > _AT_LEAST_SECONDS:
            self._start_trials()

    def _choose(self) -> None:
        one, *more = ((statistics.median(each), threads) for threads, each in self._trials.items())
        self._expected, self._chosen = next((each for each in more if each[0] * _GAIN < one[0]), one)

    def _start_trials(self) -> None:
        self._chosen = None if len(self._candidates) > 1 else self._candidates[0]
        self._trials = {threads: [] for threads in self._candidates}
        self._recent, self._since = [], self._clock()
