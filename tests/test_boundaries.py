"""The rooms of the design, and who may enter them, checked on the source of every module."""

from __future__ import annotations

import ast
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "pt4al_backend"
PROJECT_ROOMS = {path.stem for path in (ROOT / PACKAGE).iterdir() if path.stem != "__pycache__"}

# The rooms, from the ground up: each imports only itself and what is below it. On a line, none imports another.
FLOORS = (
    "errors",
    "encoder_catalogue",
    "assessment",
    "processes.child",  # also run as a script: it imports nothing of ours
    "sampling",
    "labelling",
    "learning configuration",
    "settings",
    "store",
    "net",
    "label_studio",
    "datasets",
    "reports",
    "active_learning web",
    "model",
    "processes",
    "simulate",
    "demo",
    "cli _wsgi",
)

# library -> the only rooms that import it
ONLY_IN = {
    "torch": {"learning"},
    "torchvision": {"learning"},
    "timm": {"learning"},
    "huggingface_hub": {"learning"},
    "openvino": {"learning"},
    "sklearn": {"assessment", "sampling", "demo"},
    "skactiveml": {"sampling"},
    "matplotlib": {"simulate", "web"},
    "alembic": {"store"},
    "label_studio_sdk": set(),  # heavy: pandas, nltk
    "label_studio_ml": {"label_studio", "web", "model", "_wsgi", "reports", "demo"},
}

# room -> the only things it imports, besides itself and the standard library
IMPORTS_ONLY = {"assessment": {"numpy", "scipy", "sklearn"}, "sampling": {"numpy", "sklearn", "skactiveml"}}

# room -> rooms below it that it does not import all the same
STAYS_OUT_OF = {
    "learning": {"sampling", "labelling"},
    "store": {"sampling", "settings", "configuration", "learning"},
    "net": {"sampling", "labelling", "learning", "configuration"},
    "label_studio": {"learning", "sampling"},
    "datasets": {"learning", "sampling"},
    "reports": {"learning", "sampling", "datasets"},
    "active_learning": {"label_studio", "datasets", "reports"},  # it knows the platform through a Protocol
    "web": {"learning", "datasets"},
    "active_learning.sync": {"learning", "sampling"},
    "active_learning.image_addresses": {"learning", "sampling"},
    "active_learning.publish": {"learning", "sampling"},
}

# modules of active_learning -> the only others of it that import them
STEPS_ONLY_IN = {
    "loop": set(),
    "sync": {"loop"},
    "image_addresses": {"sync"},
    "publish": {"loop", "newest_window", "rank_pool"},  # the name of a version is part of a window
}

# room, or module of one -> libraries and rooms that it does not even reach through others
TORCH = {"torch", "torchvision", "learning"}
NEVER_REACHES = {
    "web": TORCH,
    "model": TORCH,
    "_wsgi": TORCH,
    "labelling": TORCH,
    "net": TORCH,
    "store": TORCH,
    "reports": TORCH,
    "label_studio": TORCH,
    "datasets": TORCH,
    "processes.web_server": TORCH,
    "processes.supervisor": TORCH,
}

TOP_LEVEL = {"_wsgi", "cli", "encoder_catalogue", "errors", "model", "settings"}

# Nothing that arrives is unpickled or run.
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.save", "yaml.load", "yaml.unsafe_load", "pandas.read_pickle"}


def modules() -> list[Path]:
    return sorted((ROOT / PACKAGE).rglob("*.py"))


def room(module: Path) -> str:
    """`learning` for pt4al_backend/learning/networks.py, `loop` for pt4al_backend/active_learning/loop.py."""
    return module.relative_to(ROOT / PACKAGE).with_suffix("").parts[0]


def in_room(name: str) -> list[Path]:
    """The modules of a room; of `processes.child` that one."""
    first, _, module = name.partition(".")
    return [path for path in modules() if room(path) == first and module in ("", path.stem)]


def floor(name: str) -> int:
    """Which of `FLOORS` a room or a module, `processes.child`, is on."""
    floors = {each: number for number, line in enumerate(FLOORS) for each in line.split()}
    return floors[name] if name in floors else floors[name.partition(".")[0]]


def place(module: str) -> str:
    """`processes.child` for pt4al_backend.processes.child.Child: what `floor` takes."""
    return ".".join(module.split(".")[1:3])


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text(), str(module))


@cache
def imports(module: Path) -> frozenset[str]:
    """Dotted names of everything a module imports, wherever in it, type-checking blocks included."""
    found = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*_package_of(module, node.level), *([node.module] if node.module else [])])
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return frozenset(found)


def _package_of(module: Path, level: int) -> tuple[str, ...]:
    return module.relative_to(ROOT).parts[:-level] if level else ()


def targets(module: Path) -> set[str]:
    """What a module imports in the words of the tables: a room's name, or a library's."""
    found = set()
    for name in imports(module):
        first, *rest = name.split(".")
        if first != PACKAGE:
            found.add(first)
        elif rest and rest[0] in PROJECT_ROOMS:
            found.add(rest[0])
    return found


def files_of(name: str) -> set[Path]:
    """The files that run when `name` (a dotted name inside the project) is imported."""
    parts = name.split(".")
    found = set()
    for end in range(1, len(parts) + 1):
        path = ROOT.joinpath(*parts[:end])
        found |= {file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists()}
    return found


def reached(start: Path) -> set[Path]:
    """`start` and every file of the project that it imports, directly or through others."""
    seen, waiting = set(), {start}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        for name in imports(module):
            if name.split(".")[0] == PACKAGE:
                waiting |= files_of(name) - seen
    return seen


def pairs(table: dict[str, set[str]]) -> list[tuple[str, str]]:
    return [(left, right) for left in table for right in sorted(table[left])]


def test_no_import_runs_upward() -> None:
    upward = []
    for module in modules():
        here = ".".join(module.relative_to(ROOT).with_suffix("").parts)
        for name in imports(module):
            if name.split(".")[0] != PACKAGE or name == f"{PACKAGE}.__version__":
                continue
            if place(name) and place(name).split(".")[0] != room(module) and floor(place(name)) >= floor(place(here)):
                upward.append(f"{here} imports {name}")
    assert upward == []


def test_what_runs_as_a_script_imports_nothing_of_ours() -> None:
    (script,) = in_room("processes.child")
    assert [name for name in imports(script) if name.split(".")[0] == PACKAGE] == []


@pytest.mark.parametrize("step", STEPS_ONLY_IN)
def test_steps_do_not_import_what_drives_them(step: str) -> None:
    importing = {
        path.stem
        for path in in_room("active_learning")
        if any(name.startswith(f"{PACKAGE}.active_learning.{step}.") for name in imports(path))
    }
    assert importing <= STEPS_ONLY_IN[step]


def test_every_room_has_its_floor() -> None:
    assert {room(module) for module in modules()} - {"__init__"} == {
        name for line in FLOORS for name in line.split() if "." not in name
    }


def test_few_modules_stand_outside_the_rooms() -> None:
    assert {path.stem for path in (ROOT / PACKAGE).glob("*.py")} - {"__init__"} == TOP_LEVEL


def test_no_file_name_occurs_twice() -> None:
    names = Counter(path.name for path in modules() if path.stem != "__init__")
    assert [name for name, count in names.items() if count > 1] == []


def test_every_module_has_its_tests_in_the_same_place() -> None:
    """`tests/store/test_files.py` for `pt4al_backend/store/files.py`."""
    missing = []
    for module in modules():
        place = module.relative_to(ROOT / PACKAGE)
        tests = ROOT / "tests" / place.parent / f"test_{place.name.lstrip('_')}"
        if place.stem != "__init__" and not tests.exists():
            missing.append(str(tests.relative_to(ROOT)))
    assert missing == []


@pytest.mark.parametrize("library", ONLY_IN)
def test_only_these_rooms_import(library: str) -> None:
    trespassers = [str(path) for path in modules() if library in targets(path) and room(path) not in ONLY_IN[library]]
    assert not trespassers, f"{library} belongs in {ONLY_IN[library]}"


@pytest.mark.parametrize("name", IMPORTS_ONLY)
def test_imports_nothing_else(name: str) -> None:
    allowed = IMPORTS_ONLY[name] | {name} | set(sys.stdlib_module_names)
    assert {str(path): targets(path) - allowed for path in in_room(name) if targets(path) - allowed} == {}


@pytest.mark.parametrize(("name", "forbidden"), pairs(STAYS_OUT_OF))
def test_stays_out_of(name: str, forbidden: str) -> None:
    assert [str(path) for path in in_room(name) if forbidden in targets(path)] == []


@pytest.mark.parametrize(("name", "forbidden"), pairs(NEVER_REACHES))
def test_never_reaches(name: str, forbidden: str) -> None:
    culprits = {
        str(path) for start in in_room(name) for path in reached(start) if forbidden in targets(path) | {room(path)}
    }
    assert not culprits, f"{name} reaches {forbidden} through these"


@pytest.mark.parametrize("library", sorted(FORBIDDEN_IMPORTS))
def test_nobody_imports(library: str) -> None:
    assert [str(path) for path in modules() if library in targets(path)] == []


@pytest.mark.parametrize("call", sorted(FORBIDDEN_CALLS))
def test_nobody_calls(call: str) -> None:
    calls = [
        f"{path}:{node.lineno}"
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == call
    ]
    assert calls == []


def test_pytorch_reads_tensors_only() -> None:
    """And only the file that one module knows by its SHA-256."""
    calls = [
        (path.stem, ast.unparse(keyword.value))
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load"
        for keyword in node.keywords
        if keyword.arg == "weights_only"
    ]
    text = "".join(path.read_text() for path in modules())
    assert calls == [("built_in_weights", "True")] and text.count("torch.load(") == 1


def test_numpy_never_unpickles() -> None:
    allowing = [
        f"{path}:{node.value.lineno}"
        for path in modules()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False"
    ]
    assert allowing == []


def test_every_room_in_the_tables_exists() -> None:
    named = {*IMPORTS_ONLY, *STAYS_OUT_OF, *NEVER_REACHES, *set().union(*ONLY_IN.values())}
    assert {name.partition(".")[0] for name in named} <= PROJECT_ROOMS
