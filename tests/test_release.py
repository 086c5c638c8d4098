"""What a release ships works where nothing else of this tree is: the wheel, the sdist, and the forge's workflows."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.known_labels import DIGITS, digit_png
from support.served import NOT_INHERITED

import pt4al_backend

ROOT = Path(__file__).parents[1]
SOURCES = ("setup.cfg", "pyproject.toml", "MANIFEST.in", "constraints.txt", "LICENSE")
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """sdist and wheel, as `make dist` makes them, from a copy of what git tracks of it."""
    tree, dist = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("dist")
    for path in (*(ROOT / name for name in SOURCES), *ROOT.glob("*.md")):
        shutil.copy(path, tree)
    for name in ("pt4al_backend", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", dist, tree]
    subprocess.run(command, check=True, capture_output=True)
    return dist


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs the program of an environment that holds the wheel; the libraries are those of this test's environment."""
    environment = tmp_path_factory.mktemp("installed")
    venv.create(environment)
    python = environment / "bin" / "python"
    (wheel,) = dist.glob("*.whl")
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel]
    subprocess.run(command, check=True, capture_output=True)
    # A path in a .pth file is searched, but .pth files in that path are not read: this tree stays out of sight.
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    variables = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    variables.pop("PYTHONPATH", None)
    variables |= {"PT4AL_PRETEXT_EPOCHS": "1", "PT4AL_MAIN_EPOCHS": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "120"}

    def run(*arguments: str, cwd: Path, program: str = "pt4al-backend") -> subprocess.CompletedProcess[str]:
        command = [environment / "bin" / program, *arguments]
        return subprocess.run(command, cwd=cwd, env=variables, check=True, capture_output=True, text=True, timeout=300)

    return run


def test_the_sdist_has_what_the_wheel_is_made_of(dist: Path) -> None:
    (file,) = dist.glob("*.tar.gz")
    with tarfile.open(file) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {str(path.relative_to(ROOT)) for path in (ROOT / "pt4al_backend").rglob("*.*") if path.suffix != ".pyc"}
    assert {name for name in tracked if "__pycache__" not in name} <= names
    assert {*SOURCES, "README.md", "CHANGELOG.md", "docs/install.md"} <= names


def test_the_wheel_is_what_runs(installed: Run, tmp_path: Path) -> None:
    where = installed(
        "-c", "import pt4al_backend; print(pt4al_backend.__file__)", cwd=tmp_path, program="python"
    ).stdout
    assert "site-packages" in where and str(ROOT) not in where
    assert pt4al_backend.__version__ in installed("--version", cwd=tmp_path).stdout


def test_the_wheel_shows_help_and_checks(installed: Run, tmp_path: Path) -> None:
    assert "simulate" in installed("--help", cwd=tmp_path).stdout
    assert "data directory" in installed("check", cwd=tmp_path).stdout


def test_the_wheel_simulates(installed: Run, tmp_path: Path) -> None:
    for index in range(40):
        directory = tmp_path / "images" / str(DIGITS.target[index])
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{index}.png").write_bytes(digit_png(index))
    options = ["--cycles", "2", "--query-size", "4", "--seeds", "1", "--strategies", "pt4al", "--device", "cpu"]
    installed("simulate", "images", *options, "--out", "out", cwd=tmp_path)
    (run,) = json.loads((tmp_path / "out" / "results.json").read_text())["runs"]
    assert [step["labels"] for step in run["rounds"]] == [4, 8]


def test_the_changelog_has_this_version() -> None:
    assert re.search(rf"^## \[{re.escape(pt4al_backend.__version__)}\] - \d{{4}}-\d\d-\d\d$", _changelog(), flags=re.M)


def _changelog() -> str:
    return (ROOT / "CHANGELOG.md").read_text()


def workflow(path: Path) -> dict[str, Any]:
    # YAML 1.1 reads the key `on` as true.
    return {"on" if key is True else key: value for key, value in yaml.safe_load(path.read_text()).items()}


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in workflow(path)["jobs"].values() for step in job["steps"]]


def test_there_are_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_are_allowed_to_read_unless_a_job_needs_more(path: Path) -> None:
    assert workflow(path)["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in workflow(path)["jobs"].values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_to_a_major_version(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    assert [action for action in used if not re.fullmatch(r"[\w-]+/[\w/-]+@v\d+", action)] == []


def test_ci_runs_what_developers_run() -> None:
    ci, _ = WORKFLOWS
    assert ".ci/run" in [step.get("run") for step in steps(ci)]
    assert workflow(ci)["on"].keys() == {"push", "pull_request"}


def test_a_release_is_made_of_a_tag() -> None:
    _, release = WORKFLOWS
    assert workflow(release)["on"] == {"push": {"tags": ["v*"]}}
    assert "make dist" in [step.get("run") for step in steps(release)]
    (build,) = [step for step in steps(release) if step.get("uses", "").startswith("docker/build-push-action")]
    assert build["with"]["platforms"] == "linux/amd64,linux/arm64"
    assert (ROOT / build["with"]["file"]).exists()
