"""How long to wait before trying again what has failed."""

from __future__ import annotations


def delay(failures: int, *, most: float) -> float:
    """Seconds before the next try after so many failures in a row, 1 at least: 1, 2, 4, ... up to `most`."""
    return min(2.0 ** min(failures - 1, 32), most)
