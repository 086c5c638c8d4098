"""Tables as they stand beside the results: in Markdown, and under each what it was made with."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def signed(table: str, command: str, environment: Mapping[str, Any]) -> str:
    """The table, the command that makes it, and the machine and versions it was made with."""
    made = ", ".join(f"{key} {value}" for key, value in environment.items())
    return f"{table}\n\n`{command}`; {made}.\n"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and standard deviation (of a sample; 0 where there is but one)."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.{digits}f} ± {deviation:.{digits}f}"
