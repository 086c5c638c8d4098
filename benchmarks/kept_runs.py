"""The runs of a benchmark: saved in a file one by one, and shown as a table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import tables
from pt4al_backend.simulate.results import environment
from pt4al_backend.simulate.run_file import Run, RunFile

T = TypeVar("T")


class KeptRuns:
    """The runs in `path`; a run has a `row` of the table and a `seed`."""

    def __init__(self, path: Path, command: str) -> None:
        self._file, self._command = RunFile(path), command

    def all(self) -> list[Run]:
        """All runs, including those of other processes."""
        saved = self._file.read()
        return saved["runs"] if saved else []

    def has(self, row: str, seed: int) -> bool:
        return any((run["row"], run["seed"]) == (row, seed) for run in self.all())

    def of(self, row: str) -> list[Run]:
        return [run for run in self.all() if run["row"] == row]

    def add(self, run: Run) -> None:
        """Save a run. It is on disk when this returns."""
        self._file.add([run], lambda _runs: {"command": self._command, "environment": environment()})
        print(run, flush=True)

    def write_table(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print the table of the runs, and save it beside them with the command, the machine and the versions."""
        table = tables.markdown(head, rows)
        print(table)
        saved = self._file.read() or {}
        self._file.path.with_suffix(".md").write_text(tables.signed(table, saved["command"], saved["environment"]))


def timed(work: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    """The result, and the processor time in seconds."""
    started = time.process_time()
    return work(*arguments), time.process_time() - started
