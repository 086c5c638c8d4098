"""`results.json`: the configuration, the machine, and the finished runs of a simulation."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from pt4al_backend import __version__, learning
from pt4al_backend.encoder_catalogue import ROTATION
from pt4al_backend.errors import PT4ALError
from pt4al_backend.sampling.orders import current_name
from pt4al_backend.simulate.budget_curve import metric
from pt4al_backend.simulate.run_file import Run, RunFile
from pt4al_backend.simulate.summary import summary

DATE = "%Y-%m-%d"
LIBRARIES = ("torch", "torchvision", "numpy", "scikit-learn", "scikit-activeml")


class Results:
    """The runs in a file so far; several processes may add to them."""

    def __init__(self, path: Path, config: Mapping[str, Any]) -> None:
        self._file = RunFile(path)
        self.config = dict(config)
        self.runs: list[Run] = []
        self.environment: dict[str, Any] = {}
        """The machine and the versions of the last run."""
        self.refresh()

    def summary(self) -> dict[str, dict[str, Any]]:
        """See the function `summary`."""
        return summary(self.runs)

    def has(self, strategy: str, seed: int) -> bool:
        """Whether a run was finished at the last `refresh`."""
        return any((run["strategy"], run["seed"]) == (strategy, seed) for run in self.runs)

    def begin(self) -> None:
        """Write the config, so that runs with another one are rejected even before the first run is finished."""
        if self._file.read() is None:
            self._add([])

    def add(self, run: Run) -> None:
        """Save a finished run with its date, the version of this package and the processor."""
        self._add([run | {"date": time.strftime(DATE), "version": __version__, "processor": _processor()}])

    @property
    def made(self) -> dict[str, str]:
        """The date of the runs, or the first and the last date, and every processor."""
        dates, processors = (sorted({run[key] for run in self.runs if key in run}) for key in ("date", "processor"))
        texts = {"date": " to ".join(dict.fromkeys(dates[:1] + dates[-1:])), "processor": " and ".join(processors)}
        return {key: text for key, text in texts.items() if text}

    def _add(self, runs: list[Run]) -> None:
        def describe(everything: list[Run]) -> dict[str, Any]:
            self.refresh()  # also rejects runs with another config
            self.environment = environment(self.config.get("device", "cpu"))
            return {"config": self.config, "environment": self.environment, "summary": summary(everything)}

        self.refresh()
        self.runs = self._file.add(runs, describe)

    def refresh(self) -> None:
        """Read the runs that other processes have added.

        Raises:
            PT4ALError: The file holds runs with another config, or no runs of a simulation.
        """
        try:
            saved = self._file.read()
            if saved is None:
                return
            config, runs = _in_words_of_today(saved["config"]), [{**run} for run in saved["runs"]]
            for run in runs:
                shown = metric(run)
                run["strategy"], run["seed"], [(entry["labels"], entry[shown]) for entry in run["rounds"]]
        except (ValueError, KeyError, TypeError, IndexError, StopIteration):
            raise PT4ALError(
                f"{self._file.path} holds no results of a simulation: move it, or choose another --out."
            ) from None
        other = [name for name in self.config if config.get(name) != json.loads(json.dumps(self.config[name]))]
        if other:
            raise PT4ALError(
                f"{self._file.path} was made with another {' and '.join(other)}: choose another --out, or delete it."
            )
        self.runs, self.environment = runs, saved.get("environment", {})


def _in_words_of_today(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with the current names of orders, and with the encoder, which older releases had no choice of."""
    return {"encoder": ROTATION, **config} | ({"order": current_name(config["order"])} if "order" in config else {})


def environment(device: str = "cpu") -> dict[str, Any]:
    """The machine and the versions that figures depend on.

    Args:
        device: What the networks ran on, as in `PT4AL_DEVICE`.
    """
    versions = {}
    for library in LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": time.strftime(DATE),
        "pt4al-backend": __version__,
        "python": platform.python_version(),
        **versions,
        "processor": _processor(),
        "cores": os.cpu_count(),
        **({} if device == "cpu" else {"gpu": learning.describe_device(device)}),
    }


def _processor() -> str:
    """The processor's name: from the system on Linux, else from Python."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()
