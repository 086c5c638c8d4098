"""A JSON file of runs to which several processes add."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pt4al_backend.store.files import locked, replacing

Run = dict[str, Any]


class RunFile:
    """`{"runs": [...]}` and whatever else describes them, on disk after every `add`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> dict[str, Any] | None:
        """Read all of it, with what other processes have added; None before the first `add`.

        Raises:
            ValueError: The file does not hold a JSON object.
        """
        if not self.path.exists():
            return None
        content = json.loads(self.path.read_text())
        if not isinstance(content, dict):
            raise ValueError(f"{self.path} holds no JSON object")
        return content

    def add(self, runs: Iterable[Run], describe: Callable[[list[Run]], dict[str, Any]]) -> list[Run]:
        """Add runs, and return all.

        Args:
            runs: The new ones.
            describe: Returns what the file says about all runs. It is called while no other process may write, and
                may raise to reject the runs in the file.
        """
        with locked(self.path.with_name(f".{self.path.stem}.lock")):
            saved = self.read()
            everything = [*(saved["runs"] if saved else ()), *runs]
            content = describe(everything) | {"runs": everything}
            with replacing(self.path) as unfinished:
                unfinished.write_text(json.dumps(content, indent=1) + "\n")
        return everything
