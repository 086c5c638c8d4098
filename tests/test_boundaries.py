"""The rooms of the design, and who may enter them, checked on the source of every module."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "pt4al_backend"
PROJECT_ROOMS = {path.stem for path in (ROOT / PACKAGE).iterdir() if path.stem != "__pycache__"}

# library -> the only rooms that import it
ONLY_IN = {
    "torch": {"learning"},
    "torchvision": {"learning"},
    "sklearn": {"sampling", "demo"},
    "skactiveml": {"sampling"},
    "matplotlib": {"simulate"},
    "label_studio_sdk": {"label_studio", "web", "model", "_wsgi", "check", "demo"},
    "label_studio_ml": {"label_studio", "web", "model", "_wsgi", "check", "demo"},
}

# room -> the only things it imports, besides itself and the standard library
IMPORTS_ONLY = {"sampling": {"numpy", "sklearn", "skactiveml"}}

# room -> rooms it does not import
STAYS_OUT_OF = {
    "learning": PROJECT_ROOMS - {"learning"},
    "sampling": PROJECT_ROOMS - {"sampling"},
    "loop": {"label_studio", "web", "simulate"},
    "watch": {"label_studio", "web", "simulate", "loop", "worker", "learning", "sampling"},
    "addresses": {"label_studio", "web", "simulate", "loop", "watch", "worker", "learning", "sampling"},
    "publisher": {"label_studio", "web", "simulate", "loop", "worker", "learning", "sampling"},
    "jobs": {"label_studio", "web", "simulate", "loop", "watch", "publisher", "worker"},
    "web": {"simulate"},
    "store": {"label_studio", "web", "loop", "watch", "jobs", "worker", "learning"},
    "label_studio": {"web", "loop", "watch", "jobs", "worker", "learning", "sampling"},
}

# room -> libraries and rooms that it does not even reach through others
NEVER_REACHES = {
    "web": {"torch", "torchvision", "learning"},
    "model": {"torch", "torchvision", "learning"},
    "_wsgi": {"torch", "torchvision", "learning"},
}

# Nothing that arrives is unpickled or run.
FORBIDDEN_IMPORTS = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "torch.save", "yaml.load", "yaml.unsafe_load", "pandas.read_pickle"}


def modules() -> list[Path]:
    return sorted((ROOT / PACKAGE).rglob("*.py"))


def room(module: Path) -> str:
    """``learning`` for pt4al_backend/learning/networks.py, ``loop`` for pt4al_backend/active_learning/loop.py."""
    return module.relative_to(ROOT / PACKAGE).with_suffix("").parts[0]


def in_room(name: str) -> list[Path]:
    return [module for module in modules() if room(module) == name]


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
    """The files that run when ``name`` (a dotted name inside the project) is imported."""
    parts = name.split(".")
    found = set()
    for end in range(1, len(parts) + 1):
        path = ROOT.joinpath(*parts[:end])
        found |= {file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists()}
    return found


def reached(start: Path) -> set[Path]:
    """``start`` and every file of the project that it imports, directly or through others."""
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
    assert named <= PROJECT_ROOMS
