"""What a simulation prints at its end: a table of the strategies, one beside `random`, and one of the classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pt4al_backend.simulate.budget_curve import TITLES, is_same_with_every_seed, strategies_of
from pt4al_backend.simulate.by_class import FIGURES, figure_of, mean_over_seeds, shown_figures
from pt4al_backend.simulate.comparison import BASELINE, Comparison, compare
from pt4al_backend.simulate.results import Results
from pt4al_backend.simulate.run_file import Run
from pt4al_backend.simulate.summary import PREFIXES

MOST_CLASSES = 20
MOST_STRATEGIES = 4  # in the table of the classes


def show(results: Results, console: Console) -> None:
    """Print the tables, and what follows from them."""
    figures = shown_figures(results.runs)
    console.print(_strategies(results, figures))
    compared = _compared(results.runs, figures)
    if compared:
        console.print(_comparisons(compared, several=len(figures) > 1))
    if figure := figure_of(results.runs):
        _show_classes(results.runs, figure, console)
    for sentence in verdict(results.runs, compared):
        console.print(sentence)


def verdict(runs: Sequence[Run], compared: dict[tuple[str, str], Comparison]) -> list[str]:
    """What the runs and their comparisons with `random` do not show.

    Args:
        runs: All runs.
        compared: (strategy, title of a figure) -> its comparison with `random`.
    """
    others = [name for name in strategies_of(runs) if name != BASELINE]
    if BASELINE not in strategies_of(runs) or not others:
        return []
    if not compared:
        return [
            "One seed cannot show whether a strategy saves labels, as seeds differ by chance: "
            "run more, as with --seeds 5."
        ]
    titles = {title for _, title in compared}
    unsure = [
        escape(name) + (f" ({title})" if len(titles) > 1 else "")
        for (name, title), comparison in compared.items()
        if comparison.may_be_chance
    ]
    same = [escape(name) for name in others if is_same_with_every_seed(runs, name)]
    sentences = {
        f"The difference from {BASELINE} may be chance, as its 95 % interval contains 0: {', '.join(unsure)}. "
        "More seeds make the interval narrower.": unsure,
        f"Every seed gives the same curve for {', '.join(same)}: nothing there is left to chance. The intervals show "
        f"how the runs of {BASELINE} differ, not what other images would give.": same,
    }
    return [sentence for sentence, names in sentences.items() if names]


def _strategies(results: Results, figures: Sequence[str]) -> Table:
    summary = results.summary()
    several = any(row["n"] > 1 for row in summary.values())
    title = f"{results.config['title']}: {TITLES[figures[0]]} on {results.config['test']} test images, %"
    table = Table(title=escape(title), caption="mean ± standard deviation over the seeds" if several else None)
    table.add_column("strategy", overflow="fold")  # truncated names could be the same
    table.add_column("runs", justify="right")
    for figure in figures:
        begin = "" if figure == figures[0] else f"{TITLES[figure]}: "
        table.add_column(f"{begin}mean over all rounds", justify="right")
        table.add_column(f"{begin}at the end", justify="right")
    for name, row in summary.items():
        runs = 1 if is_same_with_every_seed(results.runs, name) else row["n"]
        cells = [
            spread(row[f"{PREFIXES.get(figure, '')}{value}"], row[f"{PREFIXES.get(figure, '')}{value}_sd"], runs)
            for figure in figures
            for value in ("aubc", "final")
        ]
        table.add_row(escape(name), str(row["n"]), *cells)
    return table


def spread(mean: float, deviation: float, n: int) -> str:
    """A mean with its standard deviation, which one value does not have."""
    return f"{mean:.1f} ± {deviation:.1f}" if n > 1 else f"{mean:.1f}"


def _compared(runs: Sequence[Run], figures: Sequence[str]) -> dict[tuple[str, str], Comparison]:
    """(strategy, title of a figure) -> its comparison with `random`, where two seeds or more allow one."""
    if BASELINE not in strategies_of(runs):
        return {}
    found = {
        (strategy, TITLES[figure]): compare(runs, strategy, figure)
        for strategy in strategies_of(runs)
        for figure in figures
        if strategy != BASELINE
    }
    return {key: comparison for key, comparison in found.items() if comparison}


def _comparisons(compared: dict[tuple[str, str], Comparison], *, several: bool) -> Table:
    table = Table(title=f"Compared with {BASELINE}, paired by seed", caption="in brackets: 95 % confidence intervals")
    table.add_column("strategy", overflow="fold")
    if several:
        table.add_column("metric")
    headings = ("percentage points over all rounds", "seeds won", f"labels for {BASELINE}'s end", "labels saved")
    for heading in headings:
        table.add_column(heading, justify="right")
    for (strategy, title), comparison in compared.items():
        cells = [escape(strategy), *([title] if several else []), difference(comparison)]
        won = f"{comparison.won * comparison.seeds:g} of {comparison.seeds}"
        table.add_row(*cells, won, needed(comparison), saved(comparison))
    return table


def difference(comparison: Comparison) -> str:
    """As in `+3.3 (1.0 to 5.6)`."""
    found = comparison.difference
    return f"{found.value:+.1f} ({found.low:.1f} to {found.high:.1f})"


def needed(comparison: Comparison) -> str:
    """As in `292 of 500 (206 to 366)`."""
    budget, found = f"{comparison.budget:.0f}", comparison.needed

    def labels(value: float) -> str:
        return f"{value:.0f}" if math.isfinite(value) else f"more than {budget}"

    if not math.isfinite(found.low):
        return labels(found.low)
    value = f"{found.value:.0f} of {budget}" if math.isfinite(found.value) else labels(found.value)
    return f"{value} ({labels(found.low)} to {labels(found.high)})"


def saved(comparison: Comparison) -> str:
    """As in `42 % (27 to 59)`, of all labels that were given; "none" where more are needed."""
    found = comparison.saved

    def share(value: float) -> str:
        return f"{100 * value / comparison.budget:.0f}" if math.isfinite(value) else "none"

    if not math.isfinite(found.value):
        return "none"
    return f"{share(found.value)} % ({share(found.low)} to {share(found.high)})"


def _show_classes(runs: Sequence[Run], figure: str, console: Console) -> None:
    """Print the classes in their order or, of many, those that the first strategy knows least."""
    found = class_table(runs, figure)
    if len(found.rows) < found.classes:
        console.print(
            f"Of {found.classes} classes, these are the {MOST_CLASSES} on which {escape(strategies_of(runs)[0])} is "
            "worst. results.json has all."
        )
    table = Table(title=found.title, caption="in brackets: labels that the class got" if found.counted else None)
    for heading in found.head:
        table.add_column(escape(heading), justify="left" if heading == found.head[0] else "right", overflow="fold")
    for row in found.rows:
        table.add_row(*map(escape, row))
    console.print(table)


@dataclass(frozen=True)
class ClassTable:
    """What is known about each class at the end, as text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    classes: int
    """How many there are, of which some may have no row."""
    counted: bool
    """Whether labels stand in brackets."""


def class_table(runs: Sequence[Run], figure: str) -> ClassTable:
    """The classes in their order or, of many, those that the first strategy knows least.

    Args:
        runs: Of all strategies, of which the first four are shown.
        figure: One that all runs' classes have, see `figure_of`.
    """
    strategies = strategies_of(runs)[:MOST_STRATEGIES]
    values = {strategy: mean_over_seeds(runs, strategy, figure) for strategy in strategies}
    labels = {strategy: mean_over_seeds(runs, strategy, "labels") for strategy in strategies}
    first, counted = values[strategies[0]], any(labels.values())
    names = list(first) if len(first) <= MOST_CLASSES else sorted(first, key=first.__getitem__)[:MOST_CLASSES]
    tests = mean_over_seeds(runs, strategies[0], "test_images")

    def cells(name: str) -> tuple[str, ...]:
        shown = [f"{100 * values[strategy].get(name, 0):.1f}" for strategy in strategies]
        given = [f" ({labels[strategy].get(name, 0):.0f})" if counted else "" for strategy in strategies]
        size = (f"{tests[name]:.0f}",) if tests else ()
        return (name, *size, *(value + count for value, count in zip(shown, given, strict=True)))

    return ClassTable(
        title=f"{FIGURES[figure]} of each class at the end, %",
        head=("class", *(("test images",) if tests else ()), *strategies),
        rows=tuple(map(cells, names)),
        classes=len(first),
        counted=counted,
    )
