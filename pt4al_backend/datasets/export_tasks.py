"""The tasks of a Label Studio export: JSON, also of releases before 1.0, and JSON-MIN if its meaning is unambiguous.

A damaged task or annotation is left out, with a sentence; the others are still read.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from pt4al_backend.datasets.export_keys import frequent, image_key, is_address, is_below, is_rare, keys_of
from pt4al_backend.datasets.other_formats import ACCEPTED, EXPORT, json_kind
from pt4al_backend.errors import PT4ALError
from pt4al_backend.label_studio.label_config.config import UNNAMED_KEY

IN_EVERY_MIN_ROW = {"id", "annotation_id"}
NO_ANSWER = {*IN_EVERY_MIN_ROW, "annotator", "created_at", "updated_at", "lead_time", "agreement"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One image and its annotations."""

    name: str
    """Its name in messages."""
    id: int
    """0 if the export does not number it."""
    data: Row
    annotations: tuple[Row, ...]
    """In Label Studio's present format; `result` is a list of dictionaries."""


class _DamagedError(Exception):
    """The reason why a task or an annotation is left out."""


def read_tasks(path: Path) -> tuple[list[Task], list[str]]:
    """The tasks of an export, and one sentence for everything that had to be left out.

    Raises:
        PT4ALError: the file is not such an export.
    """
    rows = _rows(path)
    faults: list[str] = []
    if not any(_annotations(row) is not None or isinstance(row.get("data"), dict) for row in rows):
        rows = _from_min(path, rows, faults)
    tasks = []
    for place, row in enumerate(rows, start=1):
        try:
            tasks.append(_task(row, _name(row, place), faults))
        except _DamagedError as reason:
            faults.append(f"{_name(row, place)} is left out: {reason}.")
    if not tasks:
        raise PT4ALError(f"{path} contains no readable task ({faults[0].rstrip('.')}): {EXPORT}.")
    return tasks, faults


def _rows(path: Path) -> list[Row]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise PT4ALError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError):
        raise PT4ALError(f"{path} is not valid JSON: {EXPORT}.") from None
    if rows == []:
        raise PT4ALError(f"{path} contains no tasks: label some images, and export the project again.")
    if not isinstance(rows, list) or not any(isinstance(row, dict) for row in rows):
        raise PT4ALError(f"{path} is not a list of tasks but looks like {json_kind(rows)}: {ACCEPTED}.")
    return [row if isinstance(row, dict) else {} for row in rows]


def _name(row: Row, place: int) -> str:
    return f"Task {number}" if (number := _number(row.get("id"))) else f"Entry {place}"


def _annotations(row: Row) -> Any:
    """A task's annotations; releases before 1.0 called them completions."""
    return row.get("annotations", row.get("completions"))


def _task(row: Row, name: str, faults: list[str]) -> Task:
    data, annotations = row.get("data"), _annotations(row)
    if not isinstance(data, dict):
        raise _DamagedError("it has no data")
    if not isinstance(annotations, (list, type(None))):
        raise _DamagedError("its annotations are not a list")
    found = []
    for annotation in annotations or ():
        try:
            found.append(_annotation(annotation))
        except _DamagedError as reason:
            faults.append(f"{name}: an annotation is left out: {reason}.")
    return Task(name, _number(row.get("id")), data, tuple(found))


def _annotation(annotation: Any) -> Row:
    if not isinstance(annotation, dict):
        raise _DamagedError("there is only its id")
    result = annotation.get("result") or []
    if not isinstance(result, list) or not all(isinstance(region, dict) for region in result):
        raise _DamagedError("its result is not a list of regions")
    return annotation | {
        "id": _number(annotation.get("id")),
        "result": result,
        "was_cancelled": bool(annotation.get("was_cancelled") or annotation.get("skipped")),
        "created_at": _moment(annotation.get("created_at")),
        "updated_at": _moment(annotation.get("updated_at")),
    }


def _number(number: Any) -> int:
    """The id of a task or an annotation, 0 if it has none; other tools write ids as strings."""
    return int(number) if re.fullmatch("[0-9]{1,18}", str(number)) else 0


def _moment(value: Any) -> str:
    """A time as Label Studio writes it now; before 1.0 it was Unix seconds. "" if it is neither."""
    if isinstance(value, str):
        return value
    try:
        return datetime.fromtimestamp(value, timezone.utc).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return ""


# JSON-MIN


def _from_min(path: Path, rows: Sequence[Row], faults: list[str]) -> list[Row]:
    """JSON-MIN as JSON. It mixes data and answers in one object: the answer must be the only text besides the image."""
    valid = [row for row in rows if row.keys() >= IN_EVERY_MIN_ROW]
    if not valid:
        raise PT4ALError(f"{path} is not a Label Studio export but looks like {json_kind(rows)}: {ACCEPTED}.")
    if len(valid) < len(rows):
        faults.append(f"{len(rows) - len(valid)} of {len(rows)} entries are left out: they are not JSON-MIN.")
    answered = [row for row in valid if row["annotation_id"] is not None]
    if not answered:
        raise PT4ALError("The export contains no labels: label some images, and export the project again.")
    bare = [{key: row[key] for key in row.keys() - NO_ANSWER} for row in answered]
    image = image_key(bare, asked=())
    control = _control(bare, image)
    tasks: dict[str, Row] = {}
    for row in answered:  # one per annotation
        data = {key: row[key] for key in row.keys() - NO_ANSWER - {control}}
        task = tasks.setdefault(str(row["id"]), {"id": row["id"], "data": data, "annotations": []})
        if isinstance(row.get(control), str):
            region = {"from_name": control, "type": "choices", "value": {"choices": [row[control]]}}
            annotation = {"id": row["annotation_id"], "updated_at": row.get("updated_at"), "result": [region]}
            task["annotations"].append(annotation)
        elif control in row:
            faults.append(f'{_name(row, 0)}: an annotation is left out: its answer to "{control}" is not text.')
    return list(tasks.values())


def _control(rows: Sequence[Mapping[str, Any]], image: str) -> str:
    """The key that holds the answers."""
    counts = Counter(key for row in rows for key in row if key != UNNAMED_KEY and not is_below(image, key))
    others = frequent(counts) - keys_of(rows, is_address)
    strange = Counter(key for row in rows for key in others & row.keys() if not isinstance(row[key], str))
    if len(others) != 1 or any(not is_rare(strange[key], counts[key]) for key in others):
        raise PT4ALError(
            f"JSON-MIN does not say which text is the answer ({', '.join(sorted(others)) or 'there is none'} besides "
            f"{image}): {EXPORT}."
        )
    return others.pop()
