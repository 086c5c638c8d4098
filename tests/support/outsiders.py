"""Packages of other people that bring a query strategy."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest


def write(directory: Path, name: str, source: str) -> None:
    """An installed package `name` in `directory`, with an entry point `name` that is `query` of its only module."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.py").write_text(source + "\n")
    info = directory / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[pt4al.strategies]\n{name} = {name}:query\n")


def install(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str) -> None:
    """`write` it and let this process import it. A process loads a strategy once: give each test its own name."""
    write(directory, name, source)
    monkeypatch.syspath_prepend(directory)
    importlib.invalidate_caches()
