"""A project's tasks in Label Studio's Data Manager: finds changed and deleted tasks with few requests.

Changes are found by the tasks' `updated_at`, which Label Studio sets whenever a task or one of its annotations is
created, edited, skipped or deleted, and keeps when only predictions change. Label Studio does not report deleted tasks:
they are found by counting ranges of task ids.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from pt4al_backend.errors import LabelStudioError
from pt4al_backend.label_studio.faulty_tasks import (
    FaultyTasks,
    Filter,
    between,
    greater,
    is_failure,
    number_filter,
)

PAGE = 1000
"""Tasks per page; larger pages cost Label Studio more time per task."""
PAGE_OF_REGIONS = 50
"""Tasks per page if annotations may have regions; a painted photo may take a megabyte."""
IN_ONE_ADDRESS = 200
"""Task ids per request; they are part of the URL, whose length proxies limit."""
OVERLAP = 10.0
"""Seconds by which a transaction may commit later than the time it writes."""
AHEAD = timedelta(minutes=10)
"""A time further in the future than this is wrong; a smaller difference may come from a fast clock."""
FIELDS = "id,data,updated_at,annotations,result,was_cancelled,ground_truth,completed_by,lead_time"
"""Fields of tasks and of their annotations."""
DATA = "id,data"
INSTANT = timedelta(microseconds=1)
"""The resolution of Label Studio's times."""

Row = dict[str, Any]


class Ask(Protocol):
    """`LabelStudioClient.request`, or a wrapper of it."""

    def __call__(self, method: str, path: str, *, params: Mapping[str, Any]) -> Any: ...


class TaskList:
    """The tasks of project `number`. Not thread-safe."""

    def __init__(self, ask: Ask, number: int) -> None:
        self.predicts_when_listed = False
        """To be set if Label Studio asks /predict for every task of the project that it lists
        (`evaluate_predictions_automatically`), so that lists are requested in a way that prevents it."""
        self.has_regions = False
        """To be set if annotations may have regions, so that fewer tasks are requested at a time."""
        self._ask = ask
        self._number = number
        self._mark: tuple[str, float] = ("", 0.0)
        """The newest cursor, and the time when it was first seen."""
        self._last_read = 0
        """Tasks that the last pass read."""
        self._owed: tuple[datetime, float] | None = None
        """From when on tasks are to be read again, and since when that is put off."""
        self._faulty = FaultyTasks(self._all_of)

    def changed(self, since: str | None) -> Iterator[tuple[list[Row], str]]:
        """Pages of tasks that changed after the cursor `since` (None: all tasks), each with the cursor after it.

        Rows are Label Studio's, with `FIELDS`. Those of faulty tasks have only an `id`, and come every time. The cursor
        is the latest `updated_at` so far. Each page starts at the last time of the previous page, so a task that
        changes while pages are read moves to the end and is read there; some tasks come twice.
        """
        cursor = since or ""
        if since is not None and (repaired := self._faulty.repaired()):
            yield repaired, since
        for rows, cursor in self._changed(since):
            yield rows, cursor
        if self._faulty.numbers:
            yield [{"id": number} for number in sorted(self._faulty.numbers)], cursor

    def _changed(self, since: str | None) -> Iterator[tuple[list[Row], str]]:
        low = None if since is None else self._lower_bound(since)
        self._last_read = 0
        while rows := self._rows([] if low is None else [_from(low)], "updated_at"):
            self._last_read += len(rows)
            last = parse_time(rows[-1]["updated_at"])
            if len(rows) < self._page:
                yield rows, _cursor(last)
                return
            if last != low:
                yield rows, _cursor(last - INSTANT)
                low = last
                continue
            # More tasks have the same time than fit on a page, as after a bulk edit.
            for page in self._rows_of(last):
                yield page, _cursor(last - INSTANT)
            low = last + INSTANT

    def missing(self, known: Sequence[int]) -> set[int]:
        """The ids of the sorted task ids `known` that no longer exist.

        Takes at most two requests per thousand ids, and only one if nothing is missing. It compares counts: `known`
        has to be complete, otherwise an unknown task offsets a missing one.
        """
        known = [number for number in known if number not in self._faulty.numbers]
        return self._missing(known, self._count(known[0], known[-1])) if known else set()

    def existing(self, numbers: Sequence[int]) -> set[int]:
        """The ids, of a few task ids, that exist."""
        return {row["id"] for row in self._with_ids(numbers, include="id")}

    def behind(self, number: int) -> list[Row]:
        """The next tasks by id after `number`, with only `id` and `data`; empty if there are none."""
        rows: list[Row] = self._list([greater(number)], "id", page_size=PAGE, **self._stored(DATA))["tasks"]
        return rows

    def data_of(self, numbers: Sequence[int]) -> list[Row]:
        """`id` and `data` of the existing tasks among a few task ids."""
        return self._with_ids(numbers, **self._stored(DATA))

    def _lower_bound(self, since: str) -> datetime:
        """The time to start at: shortly before the cursor, until transactions of that time must have ended.

        After a pass that read many tasks, as after an import, most of which would be read again each time: once is
        enough, when those transactions have ended.
        """
        now, newest = time.monotonic(), parse_time(since)
        if self._mark[0] != since:
            self._mark = (since, now)
        overlap = newest - timedelta(seconds=OVERLAP)
        settled = now - self._mark[1] > OVERLAP
        if self._owed is None and not settled:
            if self._last_read <= self._page:
                return overlap
            self._owed = (overlap, now)
        if self._owed is not None and now - self._owed[1] > OVERLAP:
            low, self._owed = self._owed[0], None
            return low
        return newest + INSTANT

    @property
    def _page(self) -> int:
        return min(PAGE, PAGE_OF_REGIONS) if self.has_regions else PAGE

    def _rows(self, filters: Sequence[Filter], order: str) -> list[Row]:
        fields = self._stored(FIELDS) | {"fields": "all", "page_size": self._page}
        rows: list[Row] = self._list(filters, order, **fields)["tasks"]
        return rows

    def _stored(self, fields: str) -> Row:
        """Parameters that list `fields` as they are stored, without resolved addresses or new predictions."""
        stored = {"include": fields, "resolve_uri": "false"}
        # A list for reviewers triggers no predictions (fact 34).
        return stored | {"review": "true"} if self.predicts_when_listed else stored

    def _with_ids(self, numbers: Sequence[int], **fields: Any) -> list[Row]:
        rows: list[Row] = []
        for start in range(0, len(numbers), IN_ONE_ADDRESS):
            some = number_filter("in_list", list(numbers[start : start + IN_ONE_ADDRESS]))
            rows += self._list([some], "id", page_size=IN_ONE_ADDRESS, **fields)["tasks"]
        return rows

    def _rows_of(self, moment: datetime) -> Iterator[list[Row]]:
        """All tasks last changed at `moment`, by id."""
        after = 0
        while rows := self._rows([_same(moment), greater(after)], "id"):
            yield rows
            after = rows[-1]["id"]

    def _all_of(self, filters: Sequence[Filter], page: int) -> list[Row]:
        fields = self._stored(FIELDS) | {"fields": "all", "page_size": page}
        rows: list[Row] = self._answer(filters, "id", **fields)["tasks"]
        return rows

    def _list(self, filters: Sequence[Filter], order: str, **fields: Any) -> Row:
        """Label Studio's response, without faulty tasks."""
        try:
            return self._answer([*filters, *self._faulty.exclusion], order, **fields)
        except LabelStudioError as error:
            if not is_failure(error) or not self._faulty.find():
                raise
        return self._answer([*filters, *self._faulty.exclusion], order, **fields)

    def _answer(self, filters: Sequence[Filter], order: str, **fields: Any) -> Row:
        query = {"filters": {"conjunction": "and", "items": list(filters)}, "ordering": [f"tasks:{order}"]}
        params = {"project": self._number, "query": json.dumps(query), **fields}
        answer = self._ask("GET", "api/tasks/", params=params)
        if not isinstance(answer, dict) or not answer.keys() >= {"tasks", "total"}:
            raise LabelStudioError(
                "Label Studio lists tasks in a form that PT4AL does not know: update Label Studio or pt4al-backend."
            )
        return answer

    def _missing(self, known: Sequence[int], present: int) -> set[int]:
        """The missing ids of sorted `known`, if Label Studio counts `present` tasks in their range."""
        if present == len(known):
            return set()
        if not present:
            return set(known)
        if len(known) <= PAGE:
            return set(known) - self._numbers(known[0], known[-1])
        left, right = known[: len(known) // 2], known[len(known) // 2 :]
        in_left = self._count(left[0], right[0] - 1)
        return self._missing(left, in_left) | self._missing(right, present - in_left)

    def _count(self, first: int, last: int) -> int:
        return int(self._list([between(first, last)], "id", include="id", page_size=1)["total"])

    def _numbers(self, first: int, last: int) -> set[int]:
        numbers: set[int] = set()
        while rows := self._list([between(first, last)], "id", include="id", page_size=PAGE)["tasks"]:
            numbers.update(row["id"] for row in rows)
            first = rows[-1]["id"] + 1
            if len(rows) < PAGE or first > last:
                break
        return numbers


def parse_time(text: str) -> datetime:
    """A time as Label Studio writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # the only format that Label Studio's filters accept


def _cursor(moment: datetime) -> str:
    """A cursor for a time. On Windows, Label Studio's bulk deletion of annotations writes local time as UTC."""
    now = datetime.now(timezone.utc)
    return _text(now if moment > now + AHEAD else moment)


def _time_filter(operator: str, moment: datetime) -> Filter:
    return {"filter": "filter:tasks:updated_at", "operator": operator, "type": "Datetime", "value": _text(moment)}


def _from(moment: datetime) -> Filter:
    return _time_filter("greater_or_equal", moment)


def _same(moment: datetime) -> Filter:
    return _time_filter("equal", moment)
