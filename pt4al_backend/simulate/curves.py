"""`curves.svg`: accuracy (or mean IoU) over labels, mean and spread of every strategy.

If classes are imbalanced, the balanced accuracy is beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import color_sequences, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import MaxNLocator

from pt4al_backend.simulate.budget_curve import TITLES, curve, strategies_of
from pt4al_backend.simulate.by_class import shown_figures
from pt4al_backend.simulate.run_file import Run
from pt4al_backend.store.files import replacing


def draw(runs: Sequence[Run], path: Path, *, title: str) -> None:
    """Draw the curves of all strategies in `runs`; lines are means, bands are standard deviations."""
    shown = shown_figures(runs)
    figure = Figure(figsize=(10 if len(shown) == 1 else 15, 5), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _draw(axes, runs, name)
    figure.suptitle(title, parse_math=False)
    lines, names = figure.axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside right center", frameon=False, fontsize="small")
    with rc_context({"svg.fonttype": "none"}), replacing(path, shared=True) as unfinished:
        figure.savefig(unfinished, format="svg", metadata={"Date": None})


def _draw(axes: Axes, runs: Sequence[Run], figure: str) -> None:
    axes.set_prop_cycle(cycler(linestyle=["-", "--", ":"]) * cycler(color=color_sequences["tab10"]))
    for strategy in strategies_of(runs):
        labels, values = curve(runs, strategy, figure)
        mean = values.mean(axis=0)
        (line,) = axes.plot(labels, mean, marker="o", markersize=3, label=f"{strategy} (n = {len(values)})")
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1)
            low, high = np.clip((mean - spread, mean + spread), 0, 100)
            axes.fill_between(labels, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set(xlabel="labels", ylabel=f"{TITLES[figure]} on the test images, %")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
