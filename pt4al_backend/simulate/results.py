"""`results.json`: the configuration, the machine, and the finished runs of a simulation."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pt4al_backend import __version__, learning
from pt4al_backend.errors import PT4ALError
from pt4al_backend.labelling.label_types import LABEL_TYPES
from pt4al_backend.sampling.orders import current_name
from pt4al_backend.simulate.run_file import Run, RunFile

NAMES = {each.metric: each.metric_title for each in LABEL_TYPES.values() if each.metric}
"""Titles of the metrics that a curve may show."""
OTHER_AREAS = {"balanced_accuracy": "balanced_aubc"} | {f"network_{name}": "network_aubc" for name in NAMES}
"""Other figures of a round, with the summary's name for the area under their curve."""
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

    def summary(self) -> dict[str, dict[str, float]]:
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
    """A config with the current names of orders, which an older release may have called something else."""
    return {**config} | ({"order": current_name(config["order"])} if "order" in config else {})


def show(results: Results, console: Console) -> None:
    """Print the summary, including how many labels each strategy saves compared with `random`."""
    shown = NAMES[metric(results.runs[0])]
    table = Table(title=f"{results.config['title']}: {shown} on {results.config['test']} test images, %")
    table.add_column("strategy", overflow="fold")  # truncated names could be the same
    for heading in ("runs", "mean over all rounds", "at the end", "labels for random's end"):
        table.add_column(heading, justify="right")
    last = results.config["rounds"] * results.config["query_size"]
    compared = "random" in _names(results.runs)
    for name, row in results.summary().items():
        needed = f"{row['labels_for_random']} of {last}" if "labels_for_random" in row else "never"
        table.add_row(
            name,
            str(row["n"]),
            f"{row['aubc']:.1f} ± {row['aubc_sd']:.1f}",
            f"{row['final']:.1f} ± {row['final_sd']:.1f}",
            needed if compared else "",
        )
    console.print(table)


def _names(runs: Sequence[Run]) -> list[str]:
    return list(dict.fromkeys(run["strategy"] for run in runs))


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


def aubc(labels: Sequence[float], values: Sequence[float]) -> float:
    """Area under the budget curve: the mean of the curve over the label axis, by trapezoids."""
    if len(labels) == 1:
        return float(values[0])
    heights = (np.asarray(values)[1:] + np.asarray(values)[:-1]) / 2
    return float(heights @ np.diff(labels) / (labels[-1] - labels[0]))


def summary(runs: Sequence[Run]) -> dict[str, dict[str, float]]:
    """Area under the curve and last value of each strategy, in per cent: mean and standard deviation over the seeds.

    `labels_for_random` is how many labels reach the last value of `random`, on the mean curves; it is missing if
    that is never reached.
    """
    rows: dict[str, dict[str, float]] = {}
    curves = {strategy: curve(runs, strategy) for strategy in _names(runs)}
    for strategy, (labels, values) in curves.items():
        areas = [aubc(labels.tolist(), row) for row in values]
        rows[strategy] = {"n": len(values), **_spread("aubc", areas), **_spread("final", values[:, -1])}
        for figure, name in OTHER_AREAS.items():
            rounds = [run["rounds"][: len(labels)] for run in _runs_of(strategy, runs)]
            figures = [[entry[figure] for entry in entries if figure in entry] for entries in rounds]
            if all(len(row) == len(labels) for row in figures):
                areas = [aubc(labels.tolist(), (100 * np.array(row)).tolist()) for row in figures]
                rows[strategy] |= _spread(name, areas)
        if "random" in curves:
            goal = curves["random"][1].mean(axis=0)[-1]
            needed = labels_for(labels, values.mean(axis=0), goal)
            rows[strategy] |= {} if needed is None else {"labels_for_random": round(needed)}
    return rows


def metric(run: Run) -> str:
    """The name of the metric that a run's curve shows."""
    return next(name for name in NAMES if name in run["rounds"][0])


def curve(runs: Sequence[Run], strategy: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Labels (rounds,) and the metric in per cent (runs, rounds) of a strategy.

    With unreadable images, a run may be shorter than others or have fewer labels. The curve then ends with the
    shortest run, and its labels are the mean over all runs.
    """
    own_runs = _runs_of(strategy, runs)
    length = min(len(run["rounds"]) for run in own_runs)
    labels = np.mean([[float(entry["labels"]) for entry in run["rounds"][:length]] for run in own_runs], axis=0)
    return labels, np.array([[100 * entry[metric(run)] for entry in run["rounds"][:length]] for run in own_runs])


def labels_for(labels: NDArray[np.float64], values: NDArray[np.float64], goal: float) -> float | None:
    """The labels at which a curve first reaches `goal`, with linear interpolation; None if it never does."""
    reached = np.flatnonzero(values >= goal)
    if not len(reached):
        return None
    k = int(reached[0])
    if k == 0:
        return float(labels[0])
    share = (goal - values[k - 1]) / (values[k] - values[k - 1])
    return float(labels[k - 1] + share * (labels[k] - labels[k - 1]))


def _runs_of(strategy: str, runs: Sequence[Run]) -> list[Run]:
    return sorted((run for run in runs if run["strategy"] == strategy), key=lambda run: run["seed"])


def _spread(name: str, values: Sequence[float] | NDArray[np.float64]) -> dict[str, float]:
    """Mean and standard deviation (of a sample; 0 for a single value)."""
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {name: float(np.mean(values)), f"{name}_sd": spread}


def _processor() -> str:
    """The processor's name: from the system on Linux, else from Python."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()
