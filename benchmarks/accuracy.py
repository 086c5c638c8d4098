"""Does PT4AL save labels? One command per table of docs/measurements.md.

    python -m benchmarks.accuracy TABLE [--jobs 2] [--seeds 3] [--strategies a,b]

Each table is a simulation: `benchmarks/results/TABLE/results.json` holds every run, the machine and the versions;
`table.md` and `curves.svg` are made from it. Existing runs are kept, so a command can be stopped and repeated.
`--jobs` distributes the runs over that many processes of one thread each.

Test images are used only for measuring: the presets were tuned on other training images of CIFAR-10.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import tables

OWN = "pt4al,random,confidence,margin"
SEGMENTING = "pt4al,random,entropy"
FROZEN = "pt4al,random,margin,badge,typiclust"
"""On sets that are far from photographs, and for choosing."""

AREAS = {"aubc": "AUBC", "balanced_aubc": "balanced AUBC", "network_aubc": "network's own AUBC"}


@dataclass(frozen=True)
class Table:
    title: str
    data: str
    cycles: int
    query_size: int
    strategies: str
    seeds: int = 3
    rounds: int = 0
    preset: str = "fast"
    answers: int = 20
    """Labels between two updates of the model."""


TABLES = {
    "cifar10_tuning": Table(
        "CIFAR-10, other training images, for choosing",
        "cifar10-tuning:5000",
        10,
        100,
        "pt4al,random,pt4al+diversity=coverage",
    ),
    "cifar10_tuning_imbalanced": Table(
        "CIFAR-10, other training images, imbalanced 100 to 1, for choosing",
        "cifar10-tuning-thinned:10000",
        10,
        50,
        "pt4al,random,pt4al+diversity=coverage",
    ),
    "cifar10_small": Table(
        "CIFAR-10, 10,000 images", "cifar10:10000", 10, 200, f"{OWN},badge,typiclust,random+init=scratch"
    ),
    "cifar10_ablations": Table(
        "CIFAR-10, 5,000 images",
        "cifar10:5000",
        10,
        100,
        "pt4al,random,pt4al+diversity=coverage,pt4al+diversity=off,pt4al+order=hard_first,pt4al+order=easy_first,"
        "pt4al+order=shuffled,pt4al+order=bandit,pt4al+init=scratch,random+init=scratch,"
        # the paper's choice of images, with the networks of `fast`
        "pt4al+order=hard_first+diversity=off+uncertainty=confidence,"
        # uncertainty decides where gradients do not
        "pt4al+diversity=off+uncertainty=confidence,pt4al+diversity=off+uncertainty=entropy,"
        "confidence,margin,entropy,badge,coreset,typiclust",
    ),
    "cifar10_imbalanced": Table("CIFAR-10, imbalanced 100 to 1", "cifar10-thinned:10000", 10, 50, OWN),
    "cifar10_imbalanced_200": Table("CIFAR-10, imbalanced 100 to 1", "cifar10-thinned:10000", 10, 200, OWN),
    "cold_start_100": Table("First 100 labels", "cifar10:10000", 10, 100, "pt4al,random,typiclust", 10, rounds=1),
    "cold_start_200": Table("First 200 labels", "cifar10:10000", 10, 200, "pt4al,random,typiclust", 10, rounds=1),
    "caltech101": Table("Caltech-101", "caltech101:30", 10, 113, OWN),
    "camvid": Table("CamVid", "camvid:test", 8, 12, SEGMENTING),
    "camvid_tuning": Table(
        "CamVid, for choosing",
        "camvid:val",
        8,
        12,
        f"{SEGMENTING},pt4al+diversity=gradients,pt4al+diversity=off,pt4al+uncertainty=margin",
    ),
    "own_500": Table("CIFAR-10, 500 images", "cifar10:500", 10, 10, OWN, 5),
    "own_2000": Table("CIFAR-10, 2,000 images", "cifar10:2000", 10, 40, OWN, 5),
    "neu_det": Table("NEU-DET, steel defects", "neu_det", 10, 12, FROZEN, 10),
    "neu_det_imbalanced": Table("NEU-DET, steel defects, imbalanced 20 to 1", "neu_det-thinned:20", 10, 12, FROZEN, 10),
    "neu_det_tuning": Table("NEU-DET, training images, for choosing", "neu_det-tuning", 10, 12, FROZEN, 10),
    "neu_det_tuning_imbalanced": Table(
        "NEU-DET, training images, imbalanced 20 to 1, for choosing", "neu_det-tuning-thinned:20", 10, 12, FROZEN, 10
    ),
    "brain_mri": Table("Brain MRI", "brain_mri", 10, 20, FROZEN, 10),
    "brain_mri_tuning": Table("Brain MRI, training images, for choosing", "brain_mri-tuning", 10, 20, FROZEN, 10),
    "rsscn7": Table("RSSCN7, aerial scenes", "rsscn7", 10, 14, FROZEN, 10),
    "rsscn7_imbalanced": Table("RSSCN7, aerial scenes, imbalanced 20 to 1", "rsscn7-thinned:20", 10, 14, FROZEN, 10),
    "rsscn7_tuning": Table("RSSCN7, training images, for choosing", "rsscn7-tuning", 10, 14, FROZEN, 10),
    "rsscn7_tuning_imbalanced": Table(
        "RSSCN7, training images, imbalanced 20 to 1, for choosing", "rsscn7-tuning-thinned:20", 10, 14, FROZEN, 10
    ),
    "caltech101_tuning": Table(
        "Caltech-101, other than test images, for choosing", "caltech101-tuning:30", 10, 113, FROZEN
    ),
    # as many as the queue holds: with 50,000 images every sync takes long
    "cifar10_full_fast": Table(
        "CIFAR-10, 50,000 images, fast", "cifar10:50000", 10, 1000, "pt4al,random,margin", answers=1000
    ),
    "cifar10_full_paper": Table(
        "CIFAR-10, 50,000 images, paper",
        "cifar10:50000",
        10,
        1000,
        "pt4al,random,margin",
        preset="paper",
        answers=1000,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--strategies")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker or options.jobs == 1:
        run(options.table, options.out / options.table, options.seeds, options.strategies)
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, *sys.argv[1:], "--worker"]
    workers = [subprocess.Popen(command, env=environment) for _ in range(options.jobs)]
    exit_codes = [worker.wait() for worker in workers]
    sys.exit(any(exit_codes))


def run(name: str, out: Path, seeds: int | None, strategies: str | None) -> None:
    from rich.console import Console

    from benchmarks.by_hand import settings_of
    from pt4al_backend import simulate

    table = TABLES[name]
    pool, test = images(table.data)
    settings = settings_of(preset=table.preset, cycles=table.cycles)
    replay = simulate.Replay(pool, test, table.rounds or table.cycles, table.query_size, table.answers)
    plan = simulate.Plan(
        table.title,
        replay,
        simulate.parse(strategies or table.strategies),
        tuple(range(seeds or table.seeds)),
        settings,
        out,
    )
    results = simulate.run(plan, Console(soft_wrap=True))
    (out / "table.md").write_text(markdown(name, results))


def markdown(name: str, results) -> str:
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
    command = f"python -m benchmarks.accuracy {name}"
    return tables.signed(tables.markdown(head, rows), command, results.environment | results.made)


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
