"""Checks that the files that were opened are still in their place.

A directory may be emptied, replaced or unmounted under a running process. Writes to the files that were opened before
are then lost without an error, so every transaction checks this first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from pt4al_backend.errors import DataGoneError, DataReplacedError

SETTLED = 5.0  # seconds without a change, after which a file is no longer being copied

Identity = tuple[int, int] | None


class OpenedFiles:
    """The files of one database, as they were when it was opened. The first one is the database itself."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._opened = {file: identity for file in files if (identity := _identity(file)) is not None}
        self._main = next(iter(self._opened))

    def require(self) -> None:
        """Check that all files are still the same.

        Raises:
            DataReplacedError: Another database is in their place.
            DataGoneError: They are gone, or something that is no database is in their place.
        """
        if all(_identity(file) == opened for file, opened in self._opened.items()):
            return
        if self._is_replaced():
            raise DataReplacedError(
                f"The database in {self._main.parent} was replaced while pt4al-backend ran: it continues with the "
                "new one."
            )
        raise DataGoneError(
            f"{self._main.parent} was emptied, replaced or unmounted while pt4al-backend ran: put it back, or restart "
            "pt4al-backend to begin with an empty one. Labels are safe in Label Studio."
        )

    def _is_replaced(self) -> bool:
        try:
            status = self._main.stat()
        except OSError:
            return False
        return status.st_size > 0 and time.time() - status.st_ctime >= SETTLED


def _identity(file: Path) -> Identity:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
