from __future__ import annotations

import importlib
import io
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console
from support.odd_servers import Reply, answering

from pt4al_backend.demo import demo_project
from pt4al_backend.demo.demo_project import DemoProject
from pt4al_backend.demo.images import ImageFolder
from pt4al_backend.demo.options import Options
from pt4al_backend.demo.servers import Backend
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


@pytest.mark.xdist_group("the demo's Label Studio")
def test_an_earlier_project_goes_on_unless_a_fresh_one_is_asked_for(
    api: httpx.Client, pets: ImageFolder, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    backend = Backend("http://localhost:1", settings, None, tmp_path / "log")  # type: ignore[arg-type]

    def project(folder: ImageFolder, **options: Any) -> tuple[DemoProject, str]:
        """The project, and what is said about it."""
        console = Console(file=io.StringIO(), soft_wrap=True)
        found = run._Demo(Options(**options), settings, tmp_path, console, [])._project(api, backend, folder)
        assert isinstance(console.file, io.StringIO)
        return found, console.file.getvalue()

    first, said = project(pets, tasks=2)
    assert said == 'Created the project "PT4AL demo: pets" with 2 images.\n'
    choice = {"from_name": "class", "to_name": "image", "type": "choices", "value": {"choices": ["cat"]}}
    task = next(demo_project.all_tasks(api, first))["id"]
    demo_project.call(api, "POST", f"/api/tasks/{task}/annotations/", json={"result": [choice]})

    second, said = project(pets, tasks=3)
    assert second.id == first.id
    assert 'Continuing with the project "PT4AL demo: pets" with 3 images and 1 label;' in said

    other, said = project(replace(pets, root=pets.root / "cat", title="cats"), tasks=1, fresh=True)
    assert said == 'Created the project "PT4AL demo: cats" with 1 image.\n'
    assert "deleting" not in said

    fresh, said = project(pets, tasks=4, fresh=True)
    assert 'Starting again: deleting the project "PT4AL demo: pets" and its 1 label.' in said
    left = {entry["id"] for entry in demo_project.call(api, "GET", "/api/projects")["results"]}
    assert {other.id, fresh.id} <= left and first.id not in left
    assert [task["is_labeled"] for task in demo_project.all_tasks(api, fresh)] == [False] * 4


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
