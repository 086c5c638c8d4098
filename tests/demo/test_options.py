from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pt4al_backend import cli, demo
from pt4al_backend.demo.options import Options


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], Options()),
        (
            [
                "--images",
                "x",
                "--tasks",
                "9",
                "--annotate",
                "3",
                "--fresh",
                "--label-studio-port=8081",
                "--no-browser",
                "--exit",
            ],
            Options(Path("x"), 9, 3, fresh=True, label_studio_port=8081, browser=False, exit=True),
        ),
    ],
)
def test_the_command_line_sets_every_option(
    arguments: list[str], options: Options, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    received: list[Options] = []

    def run(options: Options, settings: object) -> int:
        received.append(options)
        return 0

    monkeypatch.setattr(demo, "run", run)
    monkeypatch.setattr(sys, "argv", ["pt4al-backend", "demo", "--data-dir", str(tmp_path), *arguments])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert received == [options]
