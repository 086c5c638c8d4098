"""How much more, in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from pt4al_backend.reports.forecast_words import forecast_sentences

ENDS = {"estimate": 0.84, "low": 0.81, "high": 0.87}
FORECAST: dict[str, Any] = {
    "labels": 60,
    "pool": 2000,
    "with_all": ENDS,
    "target": 0.9,
    "needed": None,
    "levelled_off": False,
}


def test_nothing_without_a_forecast() -> None:
    assert forecast_sentences(None) == []


@pytest.mark.parametrize(
    ("needed", "words"),
    [
        (None, "90 % is probably out of reach: about 84 % (81 to 87) with all 2,000 images labelled."),
        ({"estimate": 200, "low": 170, "high": 250}, "90 % needs about 140 more labels (110 to 190)."),
        ({"estimate": 200, "low": 170, "high": None}, "90 % needs about 140 more labels (at least 110)."),
        ({"estimate": None, "low": 170, "high": None}, "90 % may be out of reach: it needs at least 110 more labels."),
        ({"estimate": 60, "low": 50, "high": 70}, "90 % is probably reached."),
    ],
)
def test_of_a_target(needed: dict[str, Any] | None, words: str) -> None:
    assert forecast_sentences(FORECAST | {"needed": needed})[0] == words


def test_without_a_target() -> None:
    assert forecast_sentences(FORECAST | {"target": 0, "levelled_off": True}) == [
        "With all 2,000 images labelled: about 84 % (81 to 87).",
        "This is early: of such forecasts three in four held, from 200 labels on nearly all.",
        "The last two rounds changed little: you may stop here.",
    ]
    assert len(forecast_sentences(FORECAST | {"target": 0, "labels": 200})) == 1
