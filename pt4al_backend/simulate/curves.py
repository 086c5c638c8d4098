"""`curves.svg`: accuracy (or mean IoU) over labels, mean and spread of every strategy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import color_sequences, rc_context
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler

from pt4al_backend.simulate.results import NAMES, curve, metric
from pt4al_backend.simulate.run_file import Run
from pt4al_backend.store.files import replacing


def draw(runs: Sequence[Run], path: Path, *, title: str) -> None:
    """Draw the curves of all strategies in `runs`; lines are means, bands are standard deviations."""
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    axes.set_prop_cycle(cycler(linestyle=["-", "--", ":"]) * cycler(color=color_sequences["tab10"]))
    for strategy in dict.fromkeys(run["strategy"] for run in runs):
        labels, values = curve(runs, strategy)
        mean = values.mean(axis=0)
        (line,) = axes.plot(labels, mean, marker="o", markersize=3, label=f"{strategy} (n = {len(values)})")
        if len(values) > 1:
            spread = values.std(axis=0, ddof=1)
            axes.fill_between(labels, mean - spread, mean + spread, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set(xlabel="labels", ylabel=f"{NAMES[metric(runs[0])]} on the test images, %")
    axes.set_title(title, parse_math=False)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False, fontsize="small")
    with rc_context({"svg.fonttype": "none"}), replacing(path, shared=True) as unfinished:
        figure.savefig(unfinished, format="svg", metadata={"Date": None})
