from __future__ import annotations

import importlib
import io
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from support.odd_servers import Reply, answering

from pt4al_backend.demo.options import Options
from pt4al_backend.errors import PT4ALError
from pt4al_backend.settings import Settings
from pt4al_backend.store.files import locked

run = importlib.import_module("pt4al_backend.demo.run")  # the package has a function of that name

ALIVE = {"alive": True, "starting": False}


@pytest.fixture(autouse=True)
def signals() -> Iterator[None]:
    """A demo handles signals, and the test session after it needs its own handlers."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)


def test_only_one_demo_runs_in_a_directory(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    with locked(tmp_path / "demo" / "lock"), pytest.raises(PT4ALError, match=r"already running in .* --data-dir"):
        run.run(Options(), Settings(data_dir=tmp_path))


def test_a_directory_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PT4ALError, match=r"cannot be written .* --data-dir"):
        run.run(Options(), Settings(data_dir=tmp_path / "file"))


def test_wrong_images_are_reported_before_a_server_starts(tmp_path: Path) -> None:
    with pytest.raises(PT4ALError, match="is not a directory"):
        run.run(Options(images=tmp_path / "none"), Settings(data_dir=tmp_path))
    assert not (tmp_path / "demo" / "label-studio").exists()


def row(stage: str, **fields: Any) -> dict[str, Any]:
    return {"project": 7, "stage": stage, "stage_progress": 0.5, "eta_seconds": None, "queue_length": 0} | fields


def waited(*reports: dict[str, Any]) -> str:
    """What is printed while the backend gives one report after the other, and the last one from then on."""
    left = list(reports)
    console = Console(file=io.StringIO(), width=100)
    with (
        answering(lambda asked: Reply.json(left.pop(0) if len(left) > 1 else left[0])) as server,
        httpx.Client(base_url=server.url, trust_env=False) as backend,
    ):
        run._wait_for_queue(backend, 7, console, lambda: None, Path("backend.log"))
    assert left == [reports[-1]]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_stages_are_shown_until_there_is_a_queue() -> None:
    printed = waited(
        {"projects": [], "worker": {"alive": False, "starting": True}},
        {"projects": [row("images")], "worker": ALIVE},
        {"projects": [row("training", queue_length=20)], "worker": ALIVE},
    )
    assert printed.splitlines() == ["Fetching images …", "Training on the labels …"]


def test_a_project_with_nothing_to_label_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "READY_FOR", 0.1)
    assert waited({"projects": [row("ready")], "worker": ALIVE}) == ""


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ({"projects": [], "worker": ALIVE}, "does not know the project"),
        ({"projects": [row("images")], "worker": {"alive": False, "starting": False}}, "worker is not running"),
        ({"projects": [row("error", error="No such bucket.")], "worker": ALIVE}, "No such bucket. The backend's log"),
    ],
)
def test_a_problem_that_stays_is_reported(report: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PROBLEM_PATIENCE", 0.1)
    with pytest.raises(PT4ALError, match=says):
        waited(report)
