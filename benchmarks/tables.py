"""Tables in Markdown, with the command, the machine and the versions below them."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def signed(table: str, command: str, environment: Mapping[str, Any]) -> str:
    """The table, the command that creates it, the machine and the versions."""
    made = ", ".join(f"{key} {value}" for key, value in environment.items())
    return f"{table}\n\n`{command}`; {made}.\n"


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Mean and standard deviation (of a sample); a single value stands alone."""
    mean = f"{statistics.mean(values):.{digits}f}"
    return f"{mean} ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else mean
