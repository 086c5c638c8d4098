from __future__ import annotations

import io
from pathlib import Path

import httpx
import pytest
from rich.console import Console
from support.odd_servers import Reply, answering

from pt4al_backend.demo import annotator, demo_project
from pt4al_backend.demo.annotator import RoundTally
from pt4al_backend.demo.images import ImageFolder
from pt4al_backend.demo.play import play, row

pytestmark = pytest.mark.xdist_group("the demo's Label Studio")


def test_people_count_rounds_from_1() -> None:
    line = row(RoundTally(round=0, labels=3, labels_so_far=3, predicted=2, right=1))
    assert line.startswith("round 1 ") and "50.0%  (2 of 3 predicted)" in line
    assert "no prediction yet for the 3 labels" in row(RoundTally(1, 3, 6, 0, 0))


def test_what_is_served_without_being_published_fails(
    api: httpx.Client, pets: ImageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(annotator, "PACE", 0.0)
    project = demo_project.create(api, pets)
    demo_project.fill(api, project, list(pets.truth), 2)
    console = Console(file=io.StringIO(), width=100)
    with (
        answering(lambda asked: Reply.json({"results": []})) as server,
        httpx.Client(base_url=server.url, trust_env=False) as backend,
    ):
        succeeded = play(
            api, backend, project, data_dir=tmp_path / "none", labels=3, console=console, waiting=lambda: None
        )
    assert not succeeded
    assert isinstance(console.file, io.StringIO)
    first, *warnings, tally, last = console.file.getvalue().splitlines()
    assert first == "Simulating an annotator who gives 3 labels."
    assert len(warnings) == 2 and all(line.endswith("which was not published.") for line in warnings)
    assert tally.startswith("round 1   labels so far 2 ")
    assert last == "No task was left after 2 labels."
