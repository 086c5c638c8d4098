"""How long to wait before the next try after a failure."""

from __future__ import annotations


def delay(failures: int, *, most: float) -> float:
    """Seconds before the next try: 1, 2, 4, ... up to `most`.

    Args:
        failures: How many tries have failed in a row, at least 1.
        most: The longest delay in seconds.
    """
    return min(2.0 ** min(failures - 1, 32), most)
