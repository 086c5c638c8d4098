"""The tasks of exports: JSON of all releases, JSON-MIN, and damaged files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from support.exports import (
    OFFLINE,
    UPLOADS,
    annotation,
    choice_classes,
    export,
    labelled,
    labels,
    minimal,
    read,
    region,
    task,
)

from pt4al_backend.datasets.export_file import read_export
from pt4al_backend.datasets.export_tasks import read_tasks
from pt4al_backend.errors import PT4ALError


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(PT4ALError, match="cannot be read"):
            read_export(path, OFFLINE)


def test_exports_from_before_release_1_are_read(tmp_path: Path) -> None:
    def completed(label: str, at: float, **more: Any) -> dict[str, Any]:
        return {"id": 1001, "created_at": at, "lead_time": 3.1, "result": [region(label)], **more}

    old = {"id": 3, "data": {"image": "/1.png"}, "completions": [completed("cat", 1598234000), completed("dog", 1.6e9)]}
    skipped = {"id": 4, "data": {"image": "/2.png"}, "completions": [completed("dog", 1598234000, skipped=True)]}
    mixed = task("/3.png", completed("cat", 1598234000), annotation(region("dog")), completed("cat", 1e300))
    images = read(tmp_path, [old, skipped, mixed, labelled("/4.png", "cat")])
    assert labels(images) == ["dog", "cat", "cat"]
    assert images.notes == ()
    again = read(tmp_path, [old | {"annotations": old["completions"]}])
    assert labels(again) == ["dog"]  # the newest of two


def test_other_numbers_and_times_are_no_obstacle(tmp_path: Path) -> None:
    odd = annotation(region("cat")) | {"id": "x7", "created_at": None, "updated_at": {}, "was_cancelled": None}
    images = read(tmp_path, [task("/1.png", odd) | {"id": "a-1"}, labelled("/2.png", "dog") | {"id": "17"}])
    assert labels(images) == ["cat", "dog"]


def test_json_min_is_read_where_it_is_plain(tmp_path: Path) -> None:
    images = read(
        tmp_path,
        [
            minimal(UPLOADS[0], "cat", number=1),
            minimal(UPLOADS[0], "dog", number=1, annotation_id=9, updated_at="2025-01-01"),
            minimal(UPLOADS[1], "cat", number=2),
            {key: value for key, value in minimal("/3.png", "", annotation_id=None).items() if key != "choice"},
        ],
    )
    assert choice_classes(images) == ("cat", "dog")
    assert labels(images) == ["dog", "cat"]


def test_one_outlier_of_json_min_is_named(tmp_path: Path) -> None:
    rows = [minimal(f"/{number}.png", "cat" if number % 2 else "dog", number=number) for number in range(1, 31)]
    linked = [row | {"page": "https://example.com/7"} for row in rows]
    several = minimal("/a.png", {"choices": ["cat", "dog"]}, number=99)
    images = read(tmp_path, [*linked, several, {"image": "/b.png"}, minimal("/c.png", "cat", number=98, size="big")])
    assert len(images) == 31
    assert images.notes == (
        "1 of 33 entries are left out: they are not JSON-MIN.",
        'Task 99: an annotation is left out: its answer to "choice" is not text.',
    )


@pytest.mark.parametrize(
    "row",
    [
        minimal("/a.png", "cat", title="A cat"),
        minimal("/a.png", "cat", width=640),
        minimal("/a.png", {"choices": ["cat", "dog"]}),
        minimal("/a.png", [{"x": 1}]),
    ],
)
def test_json_min_that_may_mean_several_things_is_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(PT4ALError, match="JSON-MIN does not say"):
        read(tmp_path, [row])


def test_json_min_without_answers_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match="contains no labels"):
        read(tmp_path, [minimal("/a.png", "", annotation_id=None)])


def test_tasks_are_in_the_present_format(tmp_path: Path) -> None:
    old = {"id": "3", "data": {"image": "/1.png"}, "completions": [{"id": 7, "created_at": 0, "skipped": True}, 9]}
    ([task_], faults) = read_tasks(export(tmp_path, [old]))
    assert (task_.name, task_.id, task_.data) == ("Task 3", 3, {"image": "/1.png"})
    (completion,) = task_.annotations
    assert completion["created_at"] == "1970-01-01T00:00:00+00:00"
    assert (completion["result"], completion["was_cancelled"], completion["updated_at"]) == ([], True, "")
    assert faults == ["Task 3: an annotation is left out: there is only its id."]


def test_a_file_without_a_readable_task_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match=r"contains no readable task \(Task 3 is left out: it has no data\): export"):
        read_tasks(export(tmp_path, [{"id": 3, "annotations": []}]))
