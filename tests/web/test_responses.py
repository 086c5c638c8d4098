"""The types of answers. That the routes answer so: every test of this directory, through `ConformingClient`."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from pt4al_backend.web import predictions
from pt4al_backend.web.responses import Prediction, Taken


def test_a_prediction_that_says_nothing() -> None:
    assert TypeAdapter(Prediction).validate_python(predictions.empty(), strict=True) == predictions.empty()


@pytest.mark.parametrize(
    "result", [{"event": "TASKS_CREATED", "project": 12, "woken": 1}, {"event": "X", "ignored": "It says nothing."}]
)
def test_an_event_wakes_the_worker_or_is_ignored(result: dict[str, object]) -> None:
    taken = {"status": "ok", "result": result}
    assert TypeAdapter(Taken).validate_python(taken, strict=True) == taken
    with pytest.raises(ValidationError):
        TypeAdapter(Taken).validate_python(taken | {"result": {"event": "X"}})
