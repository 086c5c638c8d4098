"""How long to wait before the next try after a failure."""

from __future__ import annotations

import time
from dataclasses import dataclass

BACKOFF_MOST = 60.0  # seconds between two tries of a step that keeps failing


def delay(failures: int, *, most: float) -> float:
    """Seconds before the next try: 1, 2, 4, ... up to `most`.

    Args:
        failures: How many tries have failed in a row, at least 1.
        most: The longest delay in seconds.
    """
    return min(2.0 ** min(failures - 1, 32), most)


@dataclass
class Attempt:
    """The back-off of a step: when it may run next, and what went wrong the last time."""

    not_before: float = 0.0
    """Seconds of the monotonic clock."""
    failures: int = 0
    """How often it has failed in a row."""
    error: str = ""
    transient: bool = True
    """Whether the error may disappear by itself."""

    @property
    def is_due(self) -> bool:
        """Whether the step may run now."""
        return time.monotonic() >= self.not_before

    def failed(self, error: str, *, transient: bool) -> None:
        """Wait twice as long as the last time before the next try."""
        self.failures += 1
        self.error, self.transient = error, transient
        self.not_before = time.monotonic() + delay(self.failures + 1, most=BACKOFF_MOST)

    def succeeded(self) -> None:
        """Forget earlier errors."""
        self.failures, self.error = 0, ""
