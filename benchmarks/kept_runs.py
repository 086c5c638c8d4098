"""Runs of a benchmark in a file: kept as they are made, told as a table."""

from __future__ import annotations

import fcntl
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import tables

from pt4al_backend.simulate.results import environment

T = TypeVar("T")
Run = dict[str, Any]


class KeptRuns:
    """The runs in `path`; a run has a `row` of the table and a `seed`."""

    def __init__(self, path: Path, command: str) -> None:
        self._path, self._command = path, command

    def all(self) -> list[Run]:
        """Those of other processes too."""
        return json.loads(self._path.read_text())["runs"] if self._path.exists() else []

    def has(self, row: str, seed: int) -> bool:
        return any((run["row"], run["seed"]) == (row, seed) for run in self.all())

    def of(self, row: str) -> list[Run]:
        return [run for run in self.all() if run["row"] == row]

    def add(self, run: Run) -> None:
        """Keep a run, on disk when this returns."""
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            told = {"command": self._command, "environment": environment(), "runs": [*self.all(), run]}
            unfinished = self._path.with_suffix(".tmp")
            unfinished.write_text(json.dumps(told, indent=1) + "\n")
            unfinished.replace(self._path)
        print(run, flush=True)

    def tell(self, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print the table of the runs, and keep it beside them with what they were made with."""
        table = tables.markdown(head, rows)
        print(table)
        told = json.loads(self._path.read_text())
        self._path.with_suffix(".md").write_text(tables.signed(table, told["command"], told["environment"]))


def timed(work: Callable[..., T], *arguments: Any) -> tuple[T, float]:
    """The result, and the processor time it took."""
    started = time.process_time()
    return work(*arguments), time.process_time() - started
