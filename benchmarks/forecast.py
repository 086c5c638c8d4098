"""Do forecasts hold in 80 %? Labels needed: 85 ± 4, all labels: 84 ± 4, twice: 77 ± 4. Not before 200 labels.

    python -m benchmarks.forecast [--labels 50 100 200 400]

Of each learning curve in `results/learning_curves.json` (`benchmarks.learning_curves`) the part up to some numbers of
labels is given to the forecast as `active_learning/forecast_labels.py` does it: cross-validated estimates, and held-out
ones as soon as there are any. What the page then says is compared with what came. The truth is the isotonic regression
of the accuracy on the test images, over the whole curve; between its points it is linear.

* "With 400 labels, twice as many: about 84 % (81 to 87)" is kept if the truth is in the interval, and so is the
  sentence about all images of the pool.
* "90 % needs about 140 more labels (110 to 190)" is kept if the truth first reaches 90 % within these; "(at least
  110)", if not before, or never, and so is "90 % may be out of reach: it needs at least 110 more labels". Of `TARGETS`
  these are all that the forecast calls neither reached nor out of reach.
* "90 % is probably reached" is right if it is, "probably out of reach" if nine tenths of the pool do not reach it.

A figure is the mean over simulations, with its standard error, as the forecasts of one simulation err together. Widths
are medians. The constants of the forecast were chosen on the sets above the first total, and on no other.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tables
from benchmarks.learning_curves import RUNS, SETS
from pt4al_backend.assessment.forecast import Curve, Forecast, fit
from pt4al_backend.simulate.results import environment

TABLE = Path(__file__).parent / "results" / "forecast.md"
TARGETS = (0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
TWICE, ALL, NEEDED, REACHED, OUT = "twice", "all", "needed", "reached", "out of reach"
HEAD = (
    *("curves", "simulations", "twice the labels: kept, %", "width, points", "all labels: kept, %", "width, points"),
    *("labels needed: n", "kept, %", "without upper end, %", "width / estimate", "reached: n, right %"),
    "out of reach: n, right %",
)


@dataclass(frozen=True)
class Promise:
    """One sentence of one forecast."""

    row: str
    seed: int
    labels: int
    """When it was made."""
    kind: str
    kept: bool
    width: float = math.nan
    """Of the interval: percentage points or, for labels, in units of the labels said to be needed."""
    open: bool = False
    """Whether the interval of labels has no upper end; its width then counts up to the pool."""

    @property
    def set_name(self) -> str:
        return self.row.rpartition(", ")[0]


class Truth:
    """The accuracy of a kept curve, smoothed by isotonic regression."""

    def __init__(self, run: dict[str, Any]) -> None:
        from sklearn.isotonic import IsotonicRegression

        self._labels = np.array(run["labels"], np.float64)
        self._accuracy = IsotonicRegression().fit_transform(self._labels, run["truth"])

    def at(self, labels: float) -> float:
        return float(np.interp(labels, self._labels, self._accuracy))

    def reaches(self, accuracy: float) -> float:
        """Labels; infinite if it never does."""
        if self._accuracy[-1] < accuracy:
            return math.inf
        k = int(np.argmax(self._accuracy >= accuracy))
        if k == 0:
            return float(self._labels[0])
        return float(np.interp(accuracy, self._accuracy[k - 1 : k + 1], self._labels[k - 1 : k + 1]))


def curve_of(run: dict[str, Any], labels: int) -> Curve:
    """What the backend has measured when so many labels are given."""
    held_out = [point for point in run["held_out"] if point[0] <= labels]
    since = held_out[0][0] if held_out else labels + 1
    crossed = [point for point in run["crossed"] if point[0] < since]
    points = np.array([*crossed, *held_out], np.float64)
    chosen = (np.arange(len(points)) < len(crossed)) & (not run["row"].endswith(", random"))
    return Curve.of_answers(points[:, 0], points[:, 1], points[:, 2], run["pool"], chosen)


def promises_of(run: dict[str, Any], labels: int) -> Iterable[Promise]:
    """What a forecast says, judged."""
    forecast, truth = fit(curve_of(run, labels)), Truth(run)
    assert forecast is not None
    for kind, at in ((TWICE, min(2 * forecast.labels, forecast.pool)), (ALL, forecast.pool)):
        said = forecast.accuracy_at(at)
        kept = said.low <= truth.at(at) <= said.high
        yield Promise(run["row"], run["seed"], labels, kind, kept, 100 * (said.high - said.low))
    for target in TARGETS:
        yield _of_target(forecast, target, truth.reaches(target), run, labels)


def _of_target(forecast: Forecast, target: float, reached: float, run: dict[str, Any], labels: int) -> Promise:
    said, now = forecast.labels_for(target), forecast.labels
    if said is None:
        return Promise(run["row"], run["seed"], labels, OUT, reached > 0.9 * forecast.pool)
    if said.estimate is not None and said.estimate <= now:
        return Promise(run["row"], run["seed"], labels, REACHED, reached <= now)
    low, high = max(said.low, now), math.inf if said.high is None else said.high
    width = math.nan if said.estimate is None else (min(high, forecast.pool) - low) / (said.estimate - now)
    kept = low <= max(reached, now) <= high
    return Promise(run["row"], run["seed"], labels, NEEDED, kept, width, said.high is None)


def cells(name: str, promises: list[Promise]) -> list[str]:
    """A row of the table."""
    of = {kind: [each for each in promises if each.kind == kind] for kind in (TWICE, ALL, NEEDED, REACHED, OUT)}
    count = len({(each.row, each.seed) for each in promises})
    row = [name, str(count)]
    for kind in (TWICE, ALL):
        row += [kept(of[kind]), _median(of[kind])]
    needed = of[NEEDED]
    opened = f"{100 * np.mean([each.open for each in needed]):.0f}" if needed else ""
    row += [str(len(needed)), kept(needed), opened, _median(needed)]
    return row + [f"{len(of[kind])}, {kept(of[kind])}" if of[kind] else "0" for kind in (REACHED, OUT)]


def kept(promises: list[Promise]) -> str:
    """Per cent, the mean over simulations and its standard error."""
    each: dict[tuple[str, int], list[bool]] = {}
    for promise in promises:
        each.setdefault((promise.row, promise.seed), []).append(promise.kept)
    means = [100 * float(np.mean(values)) for values in each.values()]
    if len(means) < 2:
        return f"{means[0]:.0f}" if means else ""
    return f"{np.mean(means):.0f} ± {np.std(means, ddof=1) / math.sqrt(len(means)):.0f}"


def _median(promises: list[Promise]) -> str:
    widths = [each.width for each in promises if not math.isnan(each.width)]
    return f"{np.median(widths):.1f}" if widths else ""


def main() -> None:
    """Judge all forecasts, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", nargs="*", type=int, default=[50, 100, 200, 400])
    parser.add_argument("--choosing", action="store_true", help="only the sets on which constants are chosen")
    options = parser.parse_args()
    rows = []
    for choosing in (True,) if options.choosing else (True, False):
        names = [name for name in SETS if SETS[name].choosing == choosing]
        runs = [run for run in RUNS.all() if run["row"].rpartition(", ")[0] in names]
        promises = [promise for run in runs for labels in options.labels for promise in promises_of(run, labels)]
        rows += [cells(name, [each for each in promises if each.set_name == name]) for name in names]
        group = "chosen on" if choosing else "not chosen on"
        rows.append(cells(f"**all {group}**", promises))
        for strategy in ("balanced", "random"):
            some = [each for each in promises if each.row.endswith(f", {strategy}")]
            rows.append(cells(f"{group}, `{strategy}`", some))
        for labels in options.labels:
            rows.append(cells(f"{group}, at {labels} labels", [each for each in promises if each.labels == labels]))
    table = tables.markdown(HEAD, rows)
    print(table)
    if not options.choosing:
        TABLE.write_text(tables.signed(table, "python -m benchmarks.forecast", environment()))


if __name__ == "__main__":
    main()
