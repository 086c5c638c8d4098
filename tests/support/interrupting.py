"""Simulations that are interrupted repeatedly and restarted from the state on disk."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pt4al_backend.settings import Settings
from pt4al_backend.simulate.simulation import Replay, Round, Simulation


def assert_interruptions_change_nothing(
    replay: Replay, settings_in: Callable[[Path], Settings], directory: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Round]:
    """Interrupt after ever more short turns, going on each time. The rounds, without the seconds they took."""
    monkeypatch.setattr(sys.modules[Simulation.__module__], "SLICE", 0.02)
    prepared: set[Path] = set()

    def play(data_dir: Path, turns: int) -> list[Round] | None:
        """The rounds; None if they need more than so many turns."""
        left = turns

        def show(_: str) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise InterruptedError

        with closing(Simulation(replay, settings_in(data_dir), show)) as simulation:
            try:
                if data_dir not in prepared:
                    simulation.fetch()
                    simulation.prepare()
                    prepared.add(data_dir)
                rounds = simulation.play(lambda _: None)
            except InterruptedError:
                return None
        return [{name: value for name, value in entry.items() if not name.endswith("_seconds")} for entry in rounds]

    expected = play(directory / "undisturbed", 10_000)
    assert expected
    for interruptions in range(200):
        rounds = play(directory / "interrupted", interruptions // 2)
        if rounds is not None:
            break
    assert interruptions > 5
    assert rounds == expected
    return expected
