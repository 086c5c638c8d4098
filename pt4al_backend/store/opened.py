"""Whether the files that were opened are still the ones in their place.

A directory may be emptied, replaced or unmounted under a running process. What is written to the files that were
opened before is then lost without an error, so it is asked before every transaction.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from pt4al_backend.errors import DataGoneError, DataReplacedError

SETTLED = 5.0  # seconds for which a file was left alone: it is no longer being copied there

Identity = tuple[int, int] | None


class OpenedFiles:
    """The files of one database, as they were when it was opened. The first of them is the database."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._opened = {file: found for file in files if (found := _identity(file)) is not None}
        self._main = next(iter(self._opened))

    def require(self) -> None:
        """Raise `DataGoneError` or `DataReplacedError` unless all files are still the same."""
        if all(_identity(file) == opened for file, opened in self._opened.items()):
            return
        if self._is_another():
            raise DataReplacedError(
                f"The database in {self._main.parent} was replaced while pt4al-backend ran: it goes on with what is "
                "there now."
            )
        raise DataGoneError(
            f"{self._main.parent} was emptied, replaced or unmounted while pt4al-backend ran: put it back, or start "
            "pt4al-backend again to begin with an empty one. Labels are safe in Label Studio."
        )

    def _is_another(self) -> bool:
        try:
            found = self._main.stat()
        except OSError:
            return False
        return found.st_size > 0 and time.time() - found.st_ctime >= SETTLED


def _identity(file: Path) -> Identity:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
