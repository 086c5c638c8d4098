"""Tasks that Label Studio itself fails to list: it answers HTTP 500 for every list that contains one of them.

These are tasks whose data is a bare number, and texts with half of a surrogate pair (fact 44). Their ids are searched
for once and excluded from every list from then on.
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

PAGE = 256
"""Number of tasks requested at a time during a search."""
MOST = 20
"""With more of them in one project, the cause is not single tasks."""
AGAIN = 60.0
"""Seconds between two attempts to list them again."""
LARGEST = 2**63
"""Larger than every id."""

Row = dict[str, Any]
Filter = dict[str, Any]
Ask = Callable[[Sequence[Filter], int], list[Row]]
"""`ask(filters, page)` lists the first `page` tasks that pass the filters, by id and with all fields."""


class FaultyTasks:
    """The faulty tasks of one project. Not thread-safe."""

    def __init__(self, ask: Ask) -> None:
        self.numbers: set[int] = set()
        self._ask = ask
        self._again_at = 0.0

    @property
    def exclusion(self) -> list[Filter]:
        """The filter that excludes them."""
        return [number_filter("not_in_list", sorted(self.numbers))] if self.numbers else []

    def find(self) -> bool:
        """Search for more of them after a list has failed. False if it failed for another reason."""
        if self._listed([between(0, 0)]) is None:
            return False
        after, page = 0, PAGE
        while len(self.numbers) <= MOST:
            rows = self._listed([greater(after), *self.exclusion], page)
            if rows is None and page > 1:
                page //= 4
            elif rows is None:
                after = self._first_after(after)
                self.numbers.add(after)
            elif len(rows) < page:
                self._again_at = time.monotonic() + AGAIN
                return True
            else:
                after, page = rows[-1]["id"], min(4 * page, PAGE)
        self.numbers.clear()
        return False

    def repaired(self) -> list[Row]:
        """The tasks that Label Studio can list again, tried every `AGAIN` seconds. Deleted tasks are forgotten."""
        rows: list[Row] = []
        if time.monotonic() >= self._again_at:
            self._again_at = time.monotonic() + AGAIN
            for number in sorted(self.numbers):
                listed = self._listed([between(number, number)])
                if listed is not None:
                    self.numbers.discard(number)
                    rows += listed
        return rows

    def _first_after(self, after: int) -> int:
        """The id of the first faulty task after `after`: the smallest upper bound that makes a list fail."""
        reach = 1
        while self._listed([between(after + 1, after + reach), *self.exclusion]) is not None and reach < LARGEST:
            reach *= 2
        good, bad = after + reach // 2, after + reach
        while bad - good > 1:
            middle = (good + bad) // 2
            if self._listed([between(after + 1, middle), *self.exclusion]) is None:
                bad = middle
            else:
                good = middle
        return bad

    def _listed(self, filters: Sequence[Filter], page: int = 1) -> list[Row] | None:
        """The rows; None if Label Studio fails to list them."""
        try:
            return self._ask(filters, page)
        except LabelStudioError as error:
            if not is_failure(error):
                raise
            return None


def is_failure(error: LabelStudioError) -> bool:
    """Whether Label Studio answered, but failed at the request."""
    if isinstance(error, LabelStudioUnavailableError):
        return error.status == 500
    return not isinstance(error, (LabelStudioRefusedError, ProjectGoneError))


def number_filter(operator: str, value: int | list[int] | Mapping[str, int]) -> Filter:
    """A Data Manager filter by task id."""
    return {"filter": "filter:tasks:id", "operator": operator, "type": "Number", "value": value}


def greater(number: int) -> Filter:
    """Ids after `number`."""
    return number_filter("greater", number)


def between(first: int, last: int) -> Filter:
    """Ids from `first` to `last`, both included."""
    return number_filter("in", {"min": first, "max": last})
