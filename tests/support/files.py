"""Files for tests that only ask for their names."""

from __future__ import annotations

from pathlib import Path


def write_names(root: Path, *names: str) -> None:
    """Files below `root` that contain their own names."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
