"""Every benchmark can be imported, so that none rots unseen at a rename."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "benchmarks").rglob("*.py")
    if path.stem != "__init__"
)


@pytest.mark.slow
def test_they_can_be_imported() -> None:
    """In one process, as torch takes its time; without OpenCV, which only the published code needs."""
    importing = f"import importlib\nfor name in {[name for name in MODULES if 'published' not in name]}:\n"
    importing += "    importlib.import_module(name)"
    done = subprocess.run([sys.executable, "-c", importing], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", [name for name in MODULES if ".decisions." in name])
def test_a_decision_has_its_answer_in_its_first_line(name: str) -> None:
    first = (ROOT / (name.replace(".", "/") + ".py")).read_text().splitlines()[0]
    assert first.startswith('"""') and first.endswith(".")
