"""A project's tasks in Label Studio's Data Manager: what changed and what is gone, in few requests.

Changes are found by the tasks' time of change, which Label Studio moves whenever a task or one of
its annotations is made, edited, skipped or deleted, and leaves alone when predictions are. It does
not tell of deleted tasks: those are found by counting ranges of task numbers.
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

PAGE = 1000  # tasks; larger pages cost Label Studio more time per task
PAGE_OF_REGIONS = 50  # tasks; a painted photo may take a megabyte
IN_ONE_ADDRESS = 200  # task numbers; they are sent in the URL, which proxies bound
OVERLAP = 10.0  # seconds; a transaction may commit so much later than the time it writes
AHEAD = timedelta(minutes=10)  # times later than this in the future are wrong, not those of a fast clock
FIELDS = "id,data,updated_at,annotations,result,was_cancelled,ground_truth"  # of tasks and of their annotations
DATA = "id,data"
INSTANT = timedelta(microseconds=1)  # what Label Studio's times are told apart by

Row = dict[str, Any]


class Ask(Protocol):
    """`LabelStudioClient.request`, or something around it."""

    def __call__(self, method: str, path: str, *, params: Mapping[str, Any]) -> Any: ...


class TaskList:
    """The tasks of project `number`. Not thread-safe.

    `predicts_when_listed` has to say whether the project has Label Studio ask /predict for every
    task it lists (`evaluate_predictions_automatically`); it is kept from that. `has_regions`:
    whether annotations hold regions; fewer tasks are asked for at a time then.
    """

    def __init__(self, ask: Ask, number: int) -> None:
        self.predicts_when_listed = False
        self.has_regions = False
        self._ask = ask
        self._number = number
        self._mark: tuple[str, float] = ("", 0.0)  # the newest cursor, and when it was first seen
        self._faulty = FaultyTasks(self._all_of)

    def changed(self, since: str | None) -> Iterator[tuple[list[Row], str]]:
        """Pages of tasks that changed after the cursor `since` (None: all), each with the cursor behind it.

        Rows are Label Studio's, with `FIELDS`; those of tasks that it fails at have an `id` alone, and come every
        time. The cursor is the latest time of change there was. Each page asks for times from the last page's last one
        on, so a task that changes while pages are read moves to the end and is read there; some tasks come twice.
        """
        cursor = since or ""
        if since is not None and (mended := self._faulty.mended()):
            yield mended, since
        for rows, cursor in self._changed(since):
            yield rows, cursor
        if self._faulty.numbers:
            yield [{"id": number} for number in sorted(self._faulty.numbers)], cursor

    def _changed(self, since: str | None) -> Iterator[tuple[list[Row], str]]:
        low = None if since is None else self._lower_bound(since)
        while rows := self._rows([] if low is None else [_from(low)], "updated_at"):
            last = parse_time(rows[-1]["updated_at"])
            if len(rows) < self._page:
                yield rows, _cursor(last)
                return
            if last != low:
                yield rows, _cursor(last - INSTANT)
                low = last
                continue
            # More tasks of one time than a page holds, as a bulk edit leaves them.
            for page in self._rows_of(last):
                yield page, _cursor(last - INSTANT)
            low = last + INSTANT

    def missing(self, known: Sequence[int]) -> set[int]:
        """Those of the sorted task numbers `known` that do not exist any more.

        Takes at most two requests per thousand numbers, and only one if nothing is missing. It goes by
        counts: `known` has to be all there was, or a task that is not known makes up for a missing one.
        """
        known = [number for number in known if number not in self._faulty.numbers]
        return self._missing(known, self._count(known[0], known[-1])) if known else set()

    def existing(self, numbers: Sequence[int]) -> set[int]:
        """Those of a few task numbers that exist."""
        return {row["id"] for row in self._numbered(numbers, include="id")}

    def behind(self, number: int) -> list[Row]:
        """The next tasks by number, with `id` and `data` alone; none where there are none behind `number`."""
        rows: list[Row] = self._list([greater(number)], "id", page_size=PAGE, **self._unasked(DATA))["tasks"]
        return rows

    def data_of(self, numbers: Sequence[int]) -> list[Row]:
        """`id` and `data` of those of a few task numbers that exist."""
        return self._numbered(numbers, **self._unasked(DATA))

    def _lower_bound(self, since: str) -> datetime:
        """The time to look from: a little before the cursor, until whatever was under way then has ended."""
        if self._mark[0] != since:
            self._mark = (since, time.monotonic())
        settled = time.monotonic() - self._mark[1] > OVERLAP
        return parse_time(since) + (INSTANT if settled else -timedelta(seconds=OVERLAP))

    @property
    def _page(self) -> int:
        return min(PAGE, PAGE_OF_REGIONS) if self.has_regions else PAGE

    def _rows(self, filters: Sequence[Filter], order: str) -> list[Row]:
        fields = self._unasked(FIELDS) | {"fields": "all", "page_size": self._page}
        rows: list[Row] = self._list(filters, order, **fields)["tasks"]
        return rows

    def _unasked(self, fields: str) -> Row:
        """Parameters that list `fields` as they are stored, and have nobody make anything of them."""
        stored = {"include": fields, "resolve_uri": "false"}
        # A list for reviewers triggers no predictions (fact 34).
        return stored | {"review": "true"} if self.predicts_when_listed else stored

    def _numbered(self, numbers: Sequence[int], **fields: Any) -> list[Row]:
        found: list[Row] = []
        for start in range(0, len(numbers), IN_ONE_ADDRESS):
            some = number_filter("in_list", list(numbers[start : start + IN_ONE_ADDRESS]))
            found += self._list([some], "id", page_size=IN_ONE_ADDRESS, **fields)["tasks"]
        return found

    def _rows_of(self, moment: datetime) -> Iterator[list[Row]]:
        """All tasks last changed at `moment`, by number."""
        after = 0
        while rows := self._rows([_same(moment), greater(after)], "id"):
            yield rows
            after = rows[-1]["id"]

    def _all_of(self, filters: Sequence[Filter], page: int) -> list[Row]:
        fields = self._unasked(FIELDS) | {"fields": "all", "page_size": page}
        rows: list[Row] = self._answer(filters, "id", **fields)["tasks"]
        return rows

    def _list(self, filters: Sequence[Filter], order: str, **fields: Any) -> Row:
        """What Label Studio answers, without the tasks it fails at."""
        try:
            return self._answer([*filters, *self._faulty.left_out], order, **fields)
        except LabelStudioError as error:
            if not is_failure(error) or not self._faulty.find():
                raise
        return self._answer([*filters, *self._faulty.left_out], order, **fields)

    def _answer(self, filters: Sequence[Filter], order: str, **fields: Any) -> Row:
        query = {"filters": {"conjunction": "and", "items": list(filters)}, "ordering": [f"tasks:{order}"]}
        params = {"project": self._number, "query": json.dumps(query), **fields}
        answer = self._ask("GET", "api/tasks", params=params)
        if not isinstance(answer, dict) or not answer.keys() >= {"tasks", "total"}:
            raise LabelStudioError(
                "Label Studio lists tasks in a form PT4AL does not know: update Label Studio or pt4al-backend."
            )
        return answer

    def _missing(self, known: Sequence[int], present: int) -> set[int]:
        """Of sorted `known`, those missing, where Label Studio counts `present` tasks in their range."""
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
        found: set[int] = set()
        while rows := self._list([between(first, last)], "id", include="id", page_size=PAGE)["tasks"]:
            found.update(row["id"] for row in rows)
            first = rows[-1]["id"] + 1
            if len(rows) < PAGE or first > last:
                break
        return found


def parse_time(text: str) -> datetime:
    """A time as Label Studio writes it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(timezone.utc)


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")  # the one form that Label Studio's filters take


def _cursor(moment: datetime) -> str:
    """On Windows, Label Studio's bulk deletion of annotations writes local time as if it were UTC."""
    now = datetime.now(timezone.utc)
    return _text(now if moment > now + AHEAD else moment)


def _time_filter(operator: str, moment: datetime) -> Filter:
    return {"filter": "filter:tasks:updated_at", "operator": operator, "type": "Datetime", "value": _text(moment)}


def _from(moment: datetime) -> Filter:
    return _time_filter("greater_or_equal", moment)


def _same(moment: datetime) -> Filter:
    return _time_filter("equal", moment)
