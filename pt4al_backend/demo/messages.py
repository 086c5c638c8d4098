"""Progress messages of the demo: bars and a spinner in a terminal, elsewhere a line every 15 seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn

from pt4al_backend.reports.stages import STAGES, time_left

EVERY = 15.0  # seconds between two progress lines


class Lines:
    """Progress lines, at most one every 15 seconds, for outputs that cannot redraw a bar."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def print(self, text: str) -> None:
        """Print the line, unless a terminal shows a bar instead or the last line is too recent."""
        if not self._console.is_terminal and time.monotonic() - self._last >= EVERY:
            self.print_now(text)

    def print_now(self, text: str) -> None:
        """Print the line, however recent the last one is."""
        self._console.print(text)
        self._last = time.monotonic()


@contextmanager
def waiting_for(console: Console, what: str) -> Iterator[Callable[[], None]]:
    """Show that `what` is under way, for an unknown time.

    Yields:
        A function to call often while waiting; it prints the progress lines.
    """
    lines, started = Lines(console), time.monotonic()
    with console.status(what):
        if not console.is_terminal:
            lines.print_now(f"{what} …")
        yield lambda: lines.print(f"{what}: {time.monotonic() - started:.0f} s")


class Stages:
    """Bars for the stages that a project goes through until its first queue is published."""

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
        """Show a project; stages before its current one are complete.

        Args:
            row: The project's entry in `/api/status`.
        """
        title = STAGES[row["stage"]]
        done = 1.0 if row["stage"] == "ready" else row["stage_progress"]
        left = time_left(row["eta_seconds"])
        if title not in self._shown:
            for finished in self._shown.values():
                self._bars.update(finished, completed=1.0, left="")
                self._bars.stop_task(finished)
            self._shown[title] = self._bars.add_task(title, total=1.0, left="")
            if not self._bars.console.is_terminal and row["stage"] != "ready":
                self._lines.print_now(f"{title} …")
        self._bars.update(self._shown[title], completed=done, left=left)
        self._lines.print(", ".join(filter(None, (f"{title}: {done:.0%}", left))))
