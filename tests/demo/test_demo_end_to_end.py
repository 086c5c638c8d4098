"""The demo as `make demo` runs it, with few images, short trainings, and no network but this machine."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from support.no_network import NoNetwork
from support.processes import free_port
from support.studio_database import PROGRAM

QUICK = {"PT4AL_PRETEXT_EPOCHS": "1", "PT4AL_MAIN_EPOCHS": "2", "PT4AL_QUERY_SIZE": "5", "PT4AL_DEVICE": "cpu"}


@pytest.fixture
def directory(empty_database: Path, tmp_path: Path) -> Path:
    """A data directory whose Label Studio has its tables already, which takes it most of a minute."""
    data = tmp_path / "data" / "demo" / "label-studio"
    data.mkdir(parents=True)
    shutil.copyfile(empty_database, data / "label_studio.sqlite3")
    (data / "set-up-complete").touch()
    return tmp_path / "data"


def demo(directory: Path, *arguments: object) -> str:
    """What a demo prints that ends by itself, at ports of its own."""
    command = [sys.executable, "-m", "pt4al_backend.cli", "demo", "--no-browser", "--exit", *map(str, arguments)]
    command += ["--label-studio-port", str(free_port()), "--port", str(free_port())]
    offline = NoNetwork.in_directory(directory.parent / f"no-network-{uuid.uuid4().hex[:8]}").variables()
    environment = os.environ | QUICK | offline
    environment |= {"PT4AL_DATA_DIR": str(directory), "PT4AL_LABEL_STUDIO": str(PROGRAM)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rounds(output: str) -> list[tuple[int, int]]:
    """(round, labels so far) of each line about a round."""
    found = re.findall(r"^round (\d+) +labels so far (\d+)", output, re.MULTILINE)
    return [(int(number), int(labels)) for number, labels in found]


def labels_by_project(directory: Path) -> dict[str, int]:
    """How many annotations Label Studio's own database holds."""
    with sqlite3.connect(directory / "demo" / "label-studio" / "label_studio.sqlite3") as database:
        count = "SELECT count(*) FROM task_completion WHERE project_id = project.id"
        return dict(database.execute(f"SELECT title, ({count}) FROM project"))


def test_the_next_demo_goes_on(directory: Path) -> None:
    first = demo(directory, "--tasks", 60, "--annotate", 15)
    assert rounds(first)[0][0] == 1
    assert len(rounds(first)) >= 2 and rounds(first)[-1][1] == 15
    assert re.search(r"^this order +\d+\.\d ", first, re.MULTILINE)
    assert re.search(r"^random order +\d+\.\d ± +\d+\.\d .*n = 10 draws", first, re.MULTILINE)
    places = [first.index(words) for words in ("/dashboard", "demo@example.com", "pt4al-demo", "\nReady. Open http://")]
    assert places == sorted(places)
    assert labels_by_project(directory) == {"PT4AL demo: digits": 15}

    second = demo(directory, "--annotate", 3, "--tasks", 70)
    assert 'Continuing with the project "PT4AL demo: digits" with 70 images and 15 labels;' in second
    assert rounds(second)[-1][1] == 18
    assert labels_by_project(directory) == {"PT4AL demo: digits": 18}
