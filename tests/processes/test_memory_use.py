"""How much memory a process uses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pt4al_backend.processes import memory_use


def test_what_is_allocated_is_counted() -> None:
    before = memory_use.resident_memory()
    kept = np.ones(100_000_000, np.uint8)
    after = memory_use.resident_memory()
    assert before is not None and after is not None
    assert 0.9 * kept.nbytes < after - before < 1.5 * kept.nbytes


@pytest.mark.parametrize("text", [None, "", "12", "a b c"])
def test_a_system_that_does_not_say(text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "statm"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(memory_use, "_STATM", file)
    assert memory_use.resident_memory() is None
