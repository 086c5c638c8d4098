"""What the demo says while it waits: bars and a spinner in a terminal, elsewhere a line every 15 seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pt4al_backend.reports.stages import STAGES, time_left

EVERY = 15.0  # seconds between two lines that say how things stand


class Lines:
    """How things stand, a line every 15 seconds where nothing can be drawn anew."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def tell(self, text: str) -> None:
        """Print the line, unless a terminal shows it anyway or the last one is too young."""
        if not self._console.is_terminal and time.monotonic() - self._last >= EVERY:
            self.tell_now(text)

    def tell_now(self, text: str) -> None:
        """Print the line, whenever the last one was."""
        self._console.print(text)
        self._last = time.monotonic()


@contextmanager
def waiting_for(console: Console, what: str) -> Iterator[Callable[[], None]]:
    """`what` is waited for inside, nobody knows how long. Yields what is to be called often meanwhile."""
    lines, began = Lines(console), time.monotonic()
    with console.status(what):
        if not console.is_terminal:
            lines.tell_now(f"{what} …")
        yield lambda: lines.tell(f"{what}: {time.monotonic() - began:.0f} s")


class Stages:
    """The stages of a project until its first queue is there, as bars."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description:<28}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
        self._bars = Progress(
            *columns, TextColumn("{task.fields[left]}"), console=console, disable=not console.is_terminal
        )
        self._shown: dict[str, TaskID] = {}
        self._lines = Lines(console)

    def __enter__(self) -> Stages:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, row: dict[str, Any]) -> None:
        """The project as `/api/status` tells it. The stages before its own have been done."""
        words = STAGES[row["stage"]]
        done = 1.0 if row["stage"] == "ready" else row["stage_progress"]
        left = time_left(row["eta_seconds"])
        if words not in self._shown:
            for finished in self._shown.values():
                self._bars.update(finished, completed=1.0, left="")
                self._bars.stop_task(finished)
            self._shown[words] = self._bars.add_task(words, total=1.0, left="")
            if not self._bars.console.is_terminal and row["stage"] != "ready":
                self._lines.tell_now(f"{words} …")
        self._bars.update(self._shown[words], completed=done, left=left)
        self._lines.tell(", ".join(filter(None, (f"{words}: {done:.0%}", left))))
