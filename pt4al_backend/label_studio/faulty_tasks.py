"""Tasks at which Label Studio itself fails: a list that one of them is in is answered with an error (HTTP 500).

Such are tasks whose data is a bare number, and texts that hold half of a character (fact 44). Their numbers are
looked for once, and they are left out of every list from then on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pt4al_backend.errors import (
    LabelStudioError,
    LabelStudioRefusedError,
    LabelStudioUnavailableError,
    ProjectGoneError,
)

PAGE = 256  # tasks asked for at a time where some are looked for
MOST = 20  # of one project: with more it is no single task that is in trouble
AGAIN = 60.0  # seconds until it is looked whether they have been mended
LARGEST = 2**63

Row = dict[str, Any]
Filter = dict[str, Any]
Ask = Callable[[Sequence[Filter], int], list[Row]]
"""Lists, by number and with all that is read of them, as many tasks as are asked for."""


class FaultyTasks:
    """Those of one project. Not thread-safe."""

    def __init__(self, ask: Ask) -> None:
        self.numbers: set[int] = set()
        self._ask = ask
        self._again_at = 0.0

    @property
    def left_out(self) -> list[Filter]:
        """The filter that leaves them out."""
        return [number_filter("not_in_list", sorted(self.numbers))] if self.numbers else []

    def find(self) -> bool:
        """Look for more of them after a list has failed. False where it failed for another reason."""
        if self._listed([between(0, 0)]) is None:
            return False
        after, page = 0, PAGE
        while len(self.numbers) <= MOST:
            rows = self._listed([greater(after), *self.left_out], page)
            if rows is None and page > 1:
                page //= 4
            elif rows is None:
                after = self._first_behind(after)
                self.numbers.add(after)
            elif len(rows) < page:
                self._again_at = time.monotonic() + AGAIN
                return True
            else:
                after, page = rows[-1]["id"], min(4 * page, PAGE)
        self.numbers.clear()
        return False

    def mended(self) -> list[Row]:
        """Those that can be listed again, for which it is looked now and then; those that are gone are forgotten."""
        rows: list[Row] = []
        if time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + AGAIN
            for number in sorted(self.numbers):
                found = self._listed([between(number, number)])
                if found is not None:
                    self.numbers.discard(number)
                    rows += found
        return rows

    def _first_behind(self, after: int) -> int:
        """The number of the first task behind `after`, which is faulty: the least that makes a list fail."""
        reach = 1
        while self._listed([between(after + 1, after + reach), *self.left_out]) is not None and reach < LARGEST:
            reach *= 2
        good, bad = after + reach // 2, after + reach
        while bad - good > 1:
            middle = (good + bad) // 2
            if self._listed([between(after + 1, middle), *self.left_out]) is None:
                bad = middle
            else:
                good = middle
        return bad

    def _listed(self, filters: Sequence[Filter], page: int = 1) -> list[Row] | None:
        """None where Label Studio fails."""
        try:
            return self._ask(filters, page)
        except LabelStudioError as error:
            if not is_failure(error):
                raise
            return None


def is_failure(error: LabelStudioError) -> bool:
    """Whether Label Studio was there, and failed at what it was asked."""
    if isinstance(error, LabelStudioUnavailableError):
        return error.status == 500
    return not isinstance(error, (LabelStudioRefusedError, ProjectGoneError))


def number_filter(operator: str, value: int | list[int] | Mapping[str, int]) -> Filter:
    """A filter of the Data Manager by the tasks' numbers."""
    return {"filter": "filter:tasks:id", "operator": operator, "type": "Number", "value": value}


def greater(number: int) -> Filter:
    """Behind a number."""
    return number_filter("greater", number)


def between(first: int, last: int) -> Filter:
    """From a number to another, both included."""
    return number_filter("in", {"min": first, "max": last})
