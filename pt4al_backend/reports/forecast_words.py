"""How many more labels are needed, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

EARLY = 200
"""With fewer labels, forecasts held less often than they should."""


def forecast_sentences(forecast: Mapping[str, Any] | None) -> list[str]:
    """What the forecast that `active_learning/forecast_labels.py` stores says; nothing without one.

    How often its intervals hold is in `docs/measurements.md`.
    """
    if not forecast:
        return []
    sentences = [_of_target(forecast)] if forecast["target"] else []
    sentences.append(f"With all {forecast['pool']:,} images labelled: {_interval(forecast['with_all'])}.")
    if forecast["labels"] < EARLY:
        sentences.append("This is early: of such forecasts three in four held, from 200 labels on nearly all.")
    if forecast["levelled_off"]:
        sentences.append("The last two rounds changed little: you may stop here.")
    return sentences


def _of_target(forecast: Mapping[str, Any]) -> str:
    target, needed, labels = f"{100 * forecast['target']:g} %", forecast["needed"], forecast["labels"]
    if needed is None:
        whole = forecast["with_all"]
        return f"{target} is probably out of reach: {_interval(whole)} with all {forecast['pool']:,} images labelled."
    low = max(needed["low"] - labels, 0)
    if needed["estimate"] is None:
        return f"{target} may be out of reach: it needs at least {low:,} more labels."
    more = max(needed["estimate"] - labels, 0)
    if not more:
        return f"{target} is probably reached."
    if needed["high"] is None:
        return f"{target} needs about {more:,} more labels (at least {low:,})."
    return f"{target} needs about {more:,} more labels ({low:,} to {needed['high'] - labels:,})."


def _interval(interval: Mapping[str, float]) -> str:
    low, high = 100 * interval["low"], 100 * interval["high"]
    return f"about {100 * interval['estimate']:.0f} % ({low:.0f} to {high:.0f})"
