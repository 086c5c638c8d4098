"""Does PT4AL save labels? One command per table of docs/measurements.md.

    python -m benchmarks.accuracy TABLE [--jobs 2] [--seeds 3] [--strategies a,b] [--set NAME=VALUE ...]

Each table of `accuracy_tables.py` is a simulation: `benchmarks/results/TABLE/results.json` holds every run, the machine
and the versions; `table.md` and `curves.svg` are made from it. Existing runs are kept, so a command can be stopped and
repeated. `--jobs` distributes the runs over that many processes of one thread each. `--set` changes a setting of all
runs, whose results are then in a directory of their own, `TABLE+NAME=VALUE`.

Test images are used only for measuring. Everything was chosen on the tables that end in `_tuning`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.accuracy_tables import TABLES

AREAS = {"aubc": "AUBC", "balanced_aubc": "balanced AUBC", "network_aubc": "network's own AUBC"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--strategies")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting; may be repeated")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker or options.jobs == 1:
        run(options.table, options.out, options.set, options.seeds, options.strategies)
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks.accuracy", *sys.argv[1:], "--worker"]
    workers = [subprocess.Popen(command, env=environment) for _ in range(options.jobs)]
    exit_codes = [worker.wait() for worker in workers]
    sys.exit(any(exit_codes))


def run(name: str, results_dir: Path, changes: list[str], seeds: int | None, strategies: str | None) -> None:
    from rich.console import Console

    from benchmarks.by_hand import settings_of
    from pt4al_backend import simulate

    table = TABLES[name]
    out = results_dir / "+".join([name, *(change.replace("/", "-") for change in changes)])
    pool, test = images(table.data)
    changed = dict(change.split("=", 1) for change in changes)
    settings = settings_of(**{"preset": table.preset, "cycles": table.cycles, **table.settings, **changed})
    replay = simulate.Replay(pool, test, table.rounds or table.cycles, table.query_size, table.answers)
    plan = simulate.Plan(
        table.title,
        replay,
        simulate.parse(strategies or table.strategies, settings, dense=pool.question.label_type.dense),
        tuple(range(seeds or table.seeds)),
        settings,
        out,
    )
    results = simulate.run(plan, Console(soft_wrap=True))
    command = " ".join(["python -m benchmarks.accuracy", name, *(f"--set {change}" for change in changes)])
    (out / "table.md").write_text(markdown(command, results))


def markdown(command: str, results) -> str:
    """The table, and below it the command, the machine and the versions."""
    from pt4al_backend.simulate.budget_curve import TITLES, metric
    from pt4al_backend.simulate.by_class import shown_figures

    rounds = len(results.runs[0]["rounds"])
    shown = sorted({0, rounds // 5, rounds // 2, rounds - 1})
    labels = [results.runs[0]["rounds"][k]["labels"] for k in shown]
    shows = metric(results.runs[0])
    summary = results.summary()
    areas = [key for key in AREAS if all(key in row for row in summary.values())]
    figures = shown_figures(results.runs)
    head = ["strategy", "n", *(f"{count:,} labels" for count in labels), *(AREAS[key] for key in areas)]
    for figure in figures:
        title = "" if figure == shows else f"{TITLES[figure]}: "
        head += [f"{title}AUBC minus random's", f"{title}seeds won", f"{title}labels for random's end (95 %)"]
    rows = []
    for strategy, row in summary.items():
        curves = [run["rounds"] for run in results.runs if run["strategy"] == strategy]
        at = [tables.spread([100 * rounds[k][shows] for rounds in curves]) for k in shown]
        sums = [f"{row[key]:.1f}" + (f" ± {row[key + '_sd']:.1f}" if row["n"] > 1 else "") for key in areas]
        compared = row.get("compared_with_random", {})
        cells = [cell for figure in figures for cell in _beside_random(compared.get(figure))]
        rows.append([f"`{strategy}`", str(row["n"]), *at, *sums, *cells])
    shown_tables = "\n\n".join(filter(None, (tables.markdown(head, rows), _of_classes(results))))
    return tables.signed(shown_tables, command, results.environment | results.made)


def _of_classes(results) -> str:
    """What is known about each class at the end; "" of runs that do not say."""
    from pt4al_backend.simulate.by_class import figure_of
    from pt4al_backend.simulate.summary_tables import class_table

    figure = figure_of(results.runs)
    if figure is None:
        return ""
    found = class_table(results.runs, figure)
    which = "" if len(found.rows) == found.classes else f", the {len(found.rows)} worst of {found.classes}"
    brackets = "; in brackets: labels that the class got" if found.counted else ""
    return f"{found.title}{which}{brackets}:\n\n{tables.markdown(found.head, found.rows)}"


def _beside_random(compared: dict[str, Any] | None) -> tuple[str, str, str]:
    """The difference with its standard error, the share of seeds won, and labels for random's end with an interval."""
    if compared is None:
        return "", "", ""

    def count(labels: int | None) -> str:
        return "more" if labels is None else f"{labels:,}"

    difference = f"{compared['difference']:+.1f} ± {compared['difference_se']:.1f}"
    low, high = map(count, compared["labels_95"])
    return difference, f"{compared['share_won']:.0%}", f"{count(compared['labels'])} ({low} to {high})"


def images(data: str):  # -> tuple[KnownImages, KnownImages]
    """The images to label and those to measure on.

    Args:
        data: A set, for tuning or not, thinned or not, and a number: as in `neu_det-tuning-thinned:20`.
    """
    from benchmarks import datasets

    kind, _, number = data.partition(":")
    name, *changes = kind.split("-")
    if name == "camvid":
        return datasets.camvid("train"), datasets.camvid(number)
    tuning, thinned = "tuning" in changes, "thinned" in changes
    if name == "cifar10":
        pool, test = (datasets.cifar10_for_tuning if tuning else datasets.cifar10)(int(number))
        return (datasets.thinned(pool, 100) if thinned else pool), test
    if name == "caltech101":
        pool, test = datasets.caltech101(int(number))
        return pool.split(0.25, seed=101) if tuning else (pool, test)
    read, block = datasets.IN_BLOCKS[name]
    pool, test = read()
    if tuning:
        pool, test = datasets.for_tuning(pool, block=block)
    return (datasets.thinned(pool, int(number)) if thinned else pool), test


if __name__ == "__main__":
    main()
