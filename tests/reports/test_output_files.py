"""Files are written whole or not at all, and lists of any length."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pt4al_backend.errors import PT4ALError
from pt4al_backend.reports.output_files import text_file, unfinished, write_csv, write_json, write_json_list


def broken() -> Iterator[list[object]]:
    yield [1]
    raise ValueError("the disk of the database is gone")


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    output = tmp_path / "file"
    output.write_text("old")
    for write in (
        lambda: write_csv(output, ["a"], broken()),
        lambda: write_json_list(output, broken()),
        lambda: write_json(output, {"a": 1}, {"list": broken()}),
    ):
        with pytest.raises(ValueError, match="gone"):
            write()
    assert output.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match="is a directory: give --output"), text_file(tmp_path):
        pass
    with pytest.raises(PT4ALError, match="is not a directory: create it first"), unfinished(tmp_path / "none" / "file"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(PT4ALError, match="is not a directory"), unfinished(tmp_path / "file" / "file"):
        pass


def test_an_error_of_the_disk_is_a_sentence(tmp_path: Path) -> None:
    says = r"cannot be written \(No space left on device\): choose another --output"
    with pytest.raises(PT4ALError, match=says), text_file(tmp_path / "file"):
        raise OSError(28, "No space left on device")


def test_csv(tmp_path: Path) -> None:
    assert write_csv(tmp_path / "file", ["a", "=b"], iter([[1, "=x"], [-2.5, "é, \n"]])) == 2
    with (tmp_path / "file").open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["a", "'=b"], ["1", "'=x"], ["-2.5", "é, \n"]]
    assert write_csv(tmp_path / "file", ["a"], []) == 0


def test_json(tmp_path: Path) -> None:
    lengths = write_json(tmp_path / "file", {"a": {"b": [1]}, "é": None}, {"none": [], "some": iter([{"x": 1}, "y"])})
    assert json.loads((tmp_path / "file").read_text()) == {
        "a": {"b": [1]},
        "é": None,
        "none": [],
        "some": [{"x": 1}, "y"],
    }
    assert lengths == {"none": 0, "some": 2}
    for entries in ([], [1], [1, {"a": "b"}]):
        assert write_json_list(tmp_path / "file", iter(entries)) == len(entries)
        assert json.loads((tmp_path / "file").read_text()) == entries


def test_a_list_need_not_fit_in_memory(tmp_path: Path) -> None:
    """Each entry is written before the next one is made."""
    made = []

    def entries() -> Iterator[str]:
        for number in range(3):
            (unfinished_file,) = (path for path in tmp_path.iterdir() if path.name != "file")
            made.append(unfinished_file.stat().st_size > 900_000 * number)
            yield "x" * 1_000_000

    write_json_list(tmp_path / "file", entries())
    assert made == [False, True, True]
