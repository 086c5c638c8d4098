from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from support.filled_store import add_ranked
from support.odd_servers import Reply, answering
from support.processes import free_port
from support.served import NOT_INHERITED
from typer.core import TyperGroup
from typer.testing import CliRunner

from pt4al_backend import __version__
from pt4al_backend.cli import app
from pt4al_backend.settings import Settings
from pt4al_backend.store.store import Store

GROUP = typer.main.get_command(app)
assert isinstance(GROUP, TyperGroup)


COMMANDS = GROUP.commands


def _run(*arguments: object, given: str = "", **variables: object) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return subprocess.run(
        [sys.executable, "-m", "pt4al_backend.cli", *map(str, arguments)],
        env=inherited | {name: str(value) for name, value in variables.items()},
        input=given,
        capture_output=True,
        text=True,
        timeout=60,
    )


def _refused(process: subprocess.CompletedProcess[str]) -> str:
    """The sentence on stderr of a command that failed as it should."""
    assert process.returncode == 1, process
    assert "Traceback" not in process.stderr
    assert process.stderr.count("\n") == 1
    assert process.stdout == ""
    return process.stderr


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    store = Store(tmp_path / "data")
    add_ranked(store)
    store.close()
    return tmp_path / "data"


def test_lists_the_commands_of_the_contract() -> None:
    helped = _run("--help")
    assert helped.returncode == 0
    for command in ("start", "web", "worker", "demo", "status", "check", "export", "reset"):
        assert f" {command} " in helped.stdout
    assert _run("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize("arguments", [["--help"], ["status", "--json"]])
def test_light_commands_import_nothing_heavy(arguments: list[str], data_dir: Path) -> None:
    program = (
        "import sys\nfrom pt4al_backend.cli import main\n"
        f"sys.argv[1:] = {arguments!r}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print({'torch', 'flask', 'sklearn', 'playwright', 'tornado'} & set(sys.modules), file=sys.stderr)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PT4AL_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.stderr == "set()\n"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_readable_on_80_columns(command: str) -> None:
    """Options have names for their values, a default or what they stand for, and there is one example."""
    shown = CliRunner().invoke(app, [*command.split(), "--help"], terminal_width=80)
    lines = shown.output.splitlines()
    assert shown.exit_code == 0 and max(map(len, lines)) <= 80
    assert (
        not re.search(r"[{}]|[<>]=", shown.output)
        and "<bool>" not in shown.output
        and not any("..." in line for line in lines[1:])
    )
    options = [re.split(r" {2,}", line.strip()) for line in lines if line.startswith("  --")]
    assert all(len(option) > 1 for option in options), "the meaning begins beside the name"
    assert max(len(option[0]) for option in options) < 24
    if command:
        assert shown.output.count("Example") == 1 and f"    pt4al-backend {command}" in shown.output


def test_defaults_that_are_written_down_are_those_of_the_settings() -> None:
    written = {
        option.name: match[1]
        for command in COMMANDS.values()
        for option in command.params
        if (match := re.search(r"Default: ([^ ]+?)\. \[(?:PT4AL_|PORT)", getattr(option, "help", "") or ""))
    }
    assert written
    assert {name: str(Settings.model_fields[name].default) for name in written} == written


def test_a_token_may_come_on_standard_input(tmp_path: Path) -> None:
    """There no list of processes shows it; on the command line it works, and it says so."""
    with answering(lambda asked: Reply.json({"email": "me@example.com"})) as studio:
        place = ["check", "--url", studio.url, "--data-dir", tmp_path, "--host", "127.0.0.1", "--port", free_port()]
        for token, given in (("-", " 0123abc \n"), ("0123abc", "")):
            process = _run(*place, "--token", token, given=given)
            assert "The token belongs to me@example.com." in process.stdout, process
            assert {asked.headers["authorization"] for asked in studio.asked} == {"Token 0123abc"}
            assert ("list of processes" in process.stderr) is (token != "-")
            assert "0123abc" not in process.stdout + process.stderr
    assert "no token on standard input" in _refused(_run(*place, "--token", "-"))


def test_settings_may_stand_in_a_file(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'data_dir = "{data_dir}"\ncycles = 33\n')
    assert "of 33," in _run("status", "--config", file).stdout
    file.rename(data_dir / "pt4al.toml")
    refused = _run("status", "--data-dir", data_dir, PT4AL_PRESET="slow", PT4AL_SLACK="x")
    assert refused.stderr.count("is wrong") == 2 and refused.returncode == 1
    (data_dir / "pt4al.toml").write_text("cycels = 33\n")
    assert "did you mean cycles?" in _refused(_run("status", "--data-dir", data_dir))
    unknown = _run("worker", PT4AL_DATA_DIR=data_dir / "pt4al.toml" / "x", PT4AL_QUERYSIZE="20")
    assert "did you mean PT4AL_QUERY_SIZE?" in unknown.stderr


def test_status(data_dir: Path) -> None:
    shown = _run("status", "--data-dir", data_dir)
    assert shown.returncode == 0
    assert "12 " in shown.stdout
    assert "5 in the queue" in shown.stdout
    assert "The worker is not running." in shown.stdout

    [project] = json.loads(_run("status", "--json", MODEL_DIR=data_dir).stdout)["projects"]
    assert project["project"] == 12
    assert project["stage"] == "ready"
    assert project["queue_length"] == 5


def test_looking_makes_no_data_directory(tmp_path: Path) -> None:
    assert "Nothing has run in" in _refused(_run("status", PT4AL_DATA_DIR=tmp_path / "none"))
    assert not (tmp_path / "none").exists()


def test_a_wrong_setting_is_named() -> None:
    assert "PT4AL_CYCLES is wrong" in _refused(_run("status", PT4AL_CYCLES="many"))


def test_export(data_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "labels.csv"
    done = _run("export", "labels", "--project", 12, "--output", output, "--data-dir", data_dir)
    assert done.stdout == f"0 labels: {output}\n"
    assert output.read_text().splitlines() == ["task_id,label,file_name"]
    refused = _refused(_run("export", "labels", "--project", 13, "--output", output, "--data-dir", data_dir))
    assert "Project 13 is not known here. Known: project 12 at http://label-studio.example." in refused


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["labels", "--format", "yolo"], "no format yolo for labels: choose csv, label-studio, coco or lists."),
        (["labels", "--question", "kind"], "--question is for a model as ONNX"),
        (["model", "--format", "onnx"], "Nothing has been learned yet"),
        (["model", "--format", "onnx", "--question", "colour"], "does not ask colour: it asks kind."),
    ],
)
def test_exports_that_are_refused(data_dir: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    output = tmp_path / "file"
    refused = _refused(_run("export", *arguments, "--project", 12, "--output", output, "--data-dir", data_dir))
    assert says in refused and not output.exists()


def test_export_of_labels_in_another_format(data_dir: Path, tmp_path: Path) -> None:
    output = tmp_path / "labels.json"
    done = _run("export", "labels", "--format", "coco", "--project", 12, "--output", output, "--data-dir", data_dir)
    assert done.stdout == f"0 labels: {output}\n"
    assert [category["name"] for category in json.loads(output.read_text())["categories"]] == ["cat", "dog"]


def test_reset_asks_first(data_dir: Path) -> None:
    assert "--yes" in _refused(_run("reset", "--project", 12, "--data-dir", data_dir))
    done = _run("reset", "--project", 12, "--yes", "--data-dir", data_dir)
    assert done.stdout.startswith("Forgot project 12")
    store = Store(data_dir)
    assert store.projects() == []
    store.close()


@pytest.mark.parametrize("command", ["start", "web"])
def test_a_port_in_use_is_one_sentence(command: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = _run(command, "--host", "127.0.0.1", "--port", port, "--data-dir", tmp_path)
    assert f"Port {port} on 127.0.0.1 is in use." in _refused(process)


def test_a_data_directory_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be written" in _refused(_run("start", "--data-dir", tmp_path / "file" / "data"))
