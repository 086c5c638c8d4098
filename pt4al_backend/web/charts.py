"""Charts as SVG or PNG, in the colours of the pages, light and dark; drawn by Matplotlib, so pages need no library."""

from __future__ import annotations

import io
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_DRAWING = threading.Lock()
"""Held while a chart is drawn: Matplotlib's settings are those of all threads."""
FORMATS = {"svg": "image/svg+xml", "png": "image/png"}


@dataclass(frozen=True)
class Theme:
    """The colours of a chart, as in `static/dashboard.css`."""

    text: str
    line: str
    accent: str
    soft: str


THEMES = {
    "light": Theme("#1c2024", "#dde1e6", "#0b57d0", "#5f6872"),
    "dark": Theme("#e6e9ec", "#32383e", "#5b9dff", "#9aa4ae"),
}


def learning_curve(
    points: Sequence[Mapping[str, Any]], *, metric: str, theme: str = "light", format: str = "svg", target: float = 0
) -> bytes:
    """The estimates over labels with their 95 % intervals; filled: on held-out images, hollow: cross-validated.

    Args:
        points: each with `labels`, and `value`, `low` and `high` from 0 to 1, and `held_out`.
        metric: its name.
        theme: a key of `THEMES`.
        format: a key of `FORMATS`.
        target: what the labels are for, in per cent; 0: nothing.
    """
    colours = THEMES.get(theme, THEMES["light"])
    figure, axes = _figure(colours)
    for held_out in (False, True):
        some = [point for point in points if point["held_out"] == held_out]
        if not some:
            continue
        labels = [point["labels"] for point in some]
        low, value, high = ([100 * point[name] for point in some] for name in ("low", "value", "high"))
        axes.fill_between(labels, low, high, color=colours.accent, alpha=0.15, linewidth=0)
        axes.plot(
            labels,
            value,
            color=colours.accent,
            marker="o",
            markersize=4,
            markerfacecolor=colours.accent if held_out else "none",
            label="held-out images" if held_out else "cross-validated on the labels",
        )
    if target:
        axes.axhline(target, color=colours.soft, linestyle="--", linewidth=1, label=f"target, {target:g} %")
    axes.set(xlabel="labels", ylabel=f"{metric}, %")
    axes.set_xlim(left=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(frameon=False, fontsize="small", labelcolor=colours.text, loc="lower right")
    return _drawn(figure, format)


def histogram(values: Sequence[float], *, borders: Sequence[float], theme: str = "light", format: str = "svg") -> bytes:
    """How many images have which pretext loss, with the borders between batches.

    Args:
        values: the losses.
        borders: the losses at which batches begin.
        theme: a key of `THEMES`.
        format: a key of `FORMATS`.
    """
    colours = THEMES.get(theme, THEMES["light"])
    figure, axes = _figure(colours)
    axes.hist(values, bins=40, color=colours.accent, alpha=0.7)
    for border in borders:
        axes.axvline(border, color=colours.soft, linewidth=1, linestyle=":")
    axes.set(xlabel="pretext loss (higher: harder)", ylabel="images")
    return _drawn(figure, format)


def _figure(colours: Theme) -> tuple[Any, Any]:
    from matplotlib.figure import Figure  # half a second, which only the first chart takes

    figure = Figure(figsize=(7, 3.4), layout="constrained")
    figure.patch.set_alpha(0)
    axes = figure.subplots()
    axes.patch.set_alpha(0)
    axes.tick_params(colors=colours.text)
    for spine in axes.spines.values():
        spine.set_color(colours.line)
    axes.xaxis.label.set_color(colours.text)
    axes.yaxis.label.set_color(colours.text)
    axes.grid(color=colours.line, linewidth=0.7)
    axes.set_axisbelow(True)
    return figure, axes


def _drawn(figure: Any, format: str) -> bytes:
    from matplotlib import rc_context

    file = io.BytesIO()
    with _DRAWING, rc_context({"svg.fonttype": "none", "svg.hashsalt": "pt4al"}):
        figure.savefig(file, format=format, dpi=150, metadata={"Date": None} if format == "svg" else None)
    return file.getvalue()
