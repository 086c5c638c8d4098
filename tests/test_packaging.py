"""What `pip install .` and `make install` ship, ask for and pin."""

from __future__ import annotations

import ast
import configparser
import importlib.metadata
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pt4al_backend

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "pt4al_backend"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: str) -> set[str]:
    return {normal(re.split(r"[<>=!~ ;\[]", line)[0]) for line in requirements.split("\n") if line}


@pytest.fixture(scope="module")
def setup() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that `pip install .` makes, built from a copy of what belongs into it."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    shutil.copytree(PACKAGE, tree / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tree)], cwd=tree, check=True, capture_output=True)
    return zipfile.ZipFile(next(tree.glob("*.whl")))


@pytest.fixture(scope="module")
def pins() -> set[str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {normal(line.partition("==")[0]) for line in lines if not line.startswith("#")}


def test_the_wheel_holds_every_file_of_the_package(wheel: zipfile.ZipFile) -> None:
    with wheel:
        shipped = {name for name in wheel.namelist() if name.startswith("pt4al_backend/")}
        entry_points = wheel.read(f"pt4al_backend-{pt4al_backend.__version__}.dist-info/entry_points.txt").decode()
    files = {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*") if path.is_file()}
    assert shipped == {name for name in files if "__pycache__" not in name}
    assert "pt4al-backend = pt4al_backend.cli:main" in entry_points


def test_every_library_that_is_imported_is_asked_for(setup: configparser.ConfigParser) -> None:
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.split(".")[0])
    libraries = imported - set(sys.stdlib_module_names) - {"pt4al_backend"}
    owners = importlib.metadata.packages_distributions()
    # An extra that is not for development is asked for by name where it is missing: `strategies.find`.
    extras = setup["options.extras_require"]
    wanted = names(setup["options"]["install_requires"]) | names(extras["strategies"])
    missing = {
        library for library in libraries if not wanted & {normal(owner) for owner in owners.get(library, [library])}
    }
    assert not missing, "add these to install_requires in setup.cfg"


@pytest.mark.parametrize(
    "bound",
    [
        "alembic>=1.13.3",  # before: a table cannot be made only where there is none
        "huggingface-hub>=1.1",  # before: the progress of a download cannot be followed
        "httpx>=0.26",  # before: escapes a slash in a query, so that some addresses are not those of the task
        "numpy>=2",  # before: a shifted uint64 is an error, and small integers are promoted otherwise
        "pillow>=11",  # before 10.1: no has_transparency_data; before 11: a TIFF's size is not turned with its pixels
        "sqlalchemy>=2.0.37",  # before 2.0.22: no get_one; before 2.0.37: list[dict[str, Any]] has no column type
        "typer>=0.19",  # before: Literal is not supported
    ],
)
def test_versions_that_do_not_work_are_not_asked_for(setup: configparser.ConfigParser, bound: str) -> None:
    assert bound in setup["options"]["install_requires"].split()


def test_everything_asked_for_is_pinned(setup: configparser.ConfigParser, pins: set[str]) -> None:
    wanted = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    needs = re.findall(r'needs="([^"]+)"', (ROOT / "docker" / "install.sh").read_text())
    assert len(needs) == 2
    assert set().union(*map(names, wanted), *map(str.split, needs)) <= pins


def listed_by_the_script(*arguments: str, program: int) -> set[str]:
    """What one of the two programs in docker/install.sh wants to be installed."""
    script = (ROOT / "docker" / "install.sh").read_text()
    programs = re.findall(r"<<'PYTHON'\n(.*?)\nPYTHON\n", script, flags=re.DOTALL)
    command = [sys.executable, "-c", programs[program], *arguments]
    return names(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_the_script_installs_what_is_asked_for(setup: configparser.ConfigParser) -> None:
    listed = listed_by_the_script(str(ROOT / "setup.cfg"), "test", program=0)
    asked_for = names(setup["options"]["install_requires"]) | names(setup["options.extras_require"]["test"])
    assert listed == asked_for - {"label-studio-ml"}


def test_opencv_is_left_out(pins: set[str]) -> None:
    """label-studio-sdk asks for it, and scanners report the FFmpeg inside."""
    needs = [need for need in importlib.metadata.requires("label-studio-sdk") or [] if "extra ==" not in need]
    listed = listed_by_the_script(program=1)
    assert listed == names("\n".join(needs)) - {"opencv-python-headless"}
    assert listed <= pins
    assert not any("opencv" in name for name in listed | pins)


def test_label_studio_sdk_is_not_needed(setup: configparser.ConfigParser) -> None:
    """It brings pandas, nltk, and more; label-studio-ml 2.x asks for it itself."""
    assert "label-studio-sdk" not in names(setup["options"]["install_requires"])
    importing = "import label_studio_ml.api, pt4al_backend.cli, pt4al_backend.model, pt4al_backend.label_studio.project"
    without = f"import sys; sys.modules |= dict.fromkeys(['cv2', 'label_studio_sdk', 'nltk', 'pandas']); {importing}"
    subprocess.run([sys.executable, "-c", without], check=True, timeout=60)


def test_pins_are_names_and_versions_only() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pin = re.compile(r'[a-z0-9-]+==[0-9][0-9a-z.]*( ; python_version (<|>=) "3\.11")?')
    assert [line for line in lines if not line.startswith("#") and not pin.fullmatch(line)] == []


def test_make_says_what_to_do_where_there_is_no_python(tmp_path: Path) -> None:
    for name in ("Makefile", "setup.cfg", "constraints.txt", "docker/install.sh"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    ended = subprocess.run(
        ["make", "--silent", "install", "PYTHON="], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode != 0
    assert ended.stderr.startswith("No Python 3.10 or newer with venv was found: install one")
    assert not (tmp_path / ".venv").exists()
