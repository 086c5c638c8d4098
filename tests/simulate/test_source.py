from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from support.drawn_masks import CLASSES
from support.simulating import Simulate, outcome, saved, write_digits

from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.simulate.source import Source


def test_a_directory_per_class(tmp_path: Path) -> None:
    images, notes = Source(write_digits(tmp_path / "digits", 2, 0, 3)).read(Settings())
    assert (images.classes, len(images), notes) == (("0", "2"), 5, ())
    with pytest.raises(PT4ALError, match="does not exist"):
        Source(tmp_path / "none").read(Settings())


def test_a_directory_of_masks(drawings: Path) -> None:
    images, notes = Source(drawings / "images", drawings / "masks").read(Settings())
    assert (images.classes, len(images), notes) == (CLASSES, 20, ())
    for source in (Source(drawings / "images", drawings / "none"), Source(drawings / "none", drawings / "masks")):
        with pytest.raises(PT4ALError, match="none does not exist"):
            source.read(Settings())


def test_an_export_is_a_source(tmp_path: Path, simulate: Simulate) -> None:
    tasks = []
    for number, path in enumerate(sorted(write_digits(tmp_path / "images", 10, 10).rglob("*.png"))):
        shutil.move(path, tmp_path / path.name)
        answer = {"from_name": "digit", "to_name": "image", "type": "choices", "value": {"choices": [path.parent.name]}}
        annotation = {"id": number, "result": [answer], "was_cancelled": False, "updated_at": "2024-01-01T00:00:00Z"}
        tasks.append({"id": number, "annotations": [annotation], "data": {"image": f"/data/upload/1/{path.name}"}})
    export = tmp_path / "export.json"
    export.write_text(json.dumps(tasks))
    arguments = ("--cycles", 2, "--query-size", 3, "--strategies", "random", "--seeds", 1, "--device", "cpu")
    assert simulate(export, *arguments, "--out", tmp_path / "out").code == 0
    config = saved(tmp_path / "out")["config"]
    assert (config["pool"], config["test"], config["classes"]) == (16, 4, 2)
    assert list(outcome(tmp_path / "out")) == [("random", 0)]
