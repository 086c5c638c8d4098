"""Small simulations of real digits: their images, their settings, and the command line that runs them."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pt4al_backend import cli
from pt4al_backend.settings import Settings
from pt4al_backend.simulate.simulation import Round
from support.known_labels import DIGITS, digit_png
from support.served import NOT_INHERITED

QUICK = {
    "PT4AL_ENCODER": "rotation",
    "PT4AL_PRETEXT_EPOCHS": "1",
    "PT4AL_MAIN_EPOCHS": "3",
    "PT4AL_IMAGE_SIZE": "16",
    "OMP_NUM_THREADS": "1",
}


def write_digits(root: Path, *counts: int) -> Path:
    """Write `counts` PNG files of the digits 0, 1, 2, …, in a directory each."""
    for digit, count in enumerate(counts):
        (root / str(digit)).mkdir(parents=True)
        for index in np.flatnonzero(DIGITS.target == digit)[:count].tolist():
            (root / str(digit) / f"{index}.png").write_bytes(digit_png(index))
    return root


def settings_in(data_dir: Path, **changes: Any) -> Settings:
    """The settings of a quick simulation, in which the project's own networks are trained."""
    quick = {
        "encoder": "rotation",
        "pretext_epochs": 1,
        "main_epochs": 3,
        "image_size": 16,
        "train_growth": 0,
        "device": "cpu",
        "label_studio_url": "",
    }
    return Settings(**{**quick, "data_dir": data_dir, **changes})


def environment(**more: str) -> dict[str, str]:
    """This process's environment without a backend's settings, but with `QUICK`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    return kept | QUICK | more


def started(*arguments: object, **variables: str) -> subprocess.Popen[str]:
    """`pt4al-backend simulate` in its own process."""
    return subprocess.Popen(
        [sys.executable, "-m", "pt4al_backend.cli", "simulate", *map(str, arguments)],
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@dataclass(frozen=True)
class Done:
    """What a command printed, and how it ended."""

    code: int
    out: str
    error: str


Simulate = Callable[..., Done]


def simulating(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variables: Mapping[str, str] = QUICK
) -> Simulate:
    """`pt4al-backend simulate` in this process, which has the libraries loaded."""
    _set_environment(monkeypatch, variables)

    def call(*arguments: object) -> Done:
        capsys.readouterr()
        code = _call(monkeypatch, arguments)
        return Done(code, *capsys.readouterr())

    return call


def simulated(*arguments: object, **variables: str) -> Done:
    """As what `simulating` returns, for fixtures of more than one test."""
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(io.StringIO()) as out,
        redirect_stderr(io.StringIO()) as error,
    ):
        _set_environment(patch, QUICK | variables)
        code = _call(patch, arguments)
    return Done(code, out.getvalue(), error.getvalue())


def _set_environment(monkeypatch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    for name in os.environ:
        if name.startswith(NOT_INHERITED):
            monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def _call(monkeypatch: pytest.MonkeyPatch, arguments: Sequence[object]) -> int:
    monkeypatch.setattr(sys, "argv", ["pt4al-backend", "simulate", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def refused(done: Done) -> str:
    """The sentence on stderr of a command that was rejected before it did anything."""
    assert done.code == 1, done
    assert "Traceback" not in done.error
    assert done.error.count("\n") == 1
    assert done.out == ""
    return done.error


def saved(out: Path) -> dict[str, Any]:
    """The results of a simulation."""
    return dict(json.loads((out / "results.json").read_text()))


def outcome(out: Path) -> dict[tuple[str, int], list[Round]]:
    """All runs in `out`, without durations."""
    runs = saved(out)["runs"]
    outcomes = {
        (run["strategy"], run["seed"]): [
            {name: value for name, value in entry.items() if not name.endswith("_seconds")} for entry in run["rounds"]
        ]
        for run in runs
    }
    assert len(outcomes) == len(runs)
    return outcomes
