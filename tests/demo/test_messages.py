from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from pt4al_backend.demo import messages
from pt4al_backend.demo.messages import Lines, Stages, waiting_for


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100)


def printed(to: Console) -> str:
    assert isinstance(to.file, io.StringIO)
    return to.file.getvalue()


def row(stage: str, done: float, left: float | None = None) -> dict[str, Any]:
    return {"stage": stage, "stage_progress": done, "eta_seconds": left}


def test_a_line_every_15_seconds_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    to = console()
    lines = Lines(to)
    for now in (100.5, 114.9, 115.0, 116.0, 129.9, 130.1):
        lines.print(f"at {now}")
    assert printed(to) == "at 115.0\nat 130.1\n"


def test_a_terminal_needs_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "EVERY", 0.0)
    to = console(terminal=True)
    Lines(to).print("how things stand")
    assert printed(to) == ""


def test_waiting_is_shown_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "EVERY", 0.0)
    to = console()
    with waiting_for(to, "Starting") as tick:
        tick()
    assert printed(to).splitlines() == ["Starting …", "Starting: 0 s"]


def test_stages_are_shown_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "EVERY", 0.0)
    to = console()
    with Stages(to) as stages:
        stages.show(row("images", 0.25))
        stages.show(row("pretext", 0.5, 75))
        stages.show(row("ready", 0.0))
    assert printed(to).splitlines() == [
        "Fetching images …",
        "Fetching images: 25%",
        "Training the pretext task …",
        "Training the pretext task: 50%, about 75 s left",
        "Ready: keep labelling: 100%",
    ]
