"""The bodies of actions. For what is refused, and whether that is described, see `test_openapi.py`."""

from __future__ import annotations

from typing import Any

import pytest

from pt4al_backend.settings import OF_PROJECT
from pt4al_backend.web.action_bodies import BODIES, Confirm, OwnSettings
from pt4al_backend.web.actions import ACTIONS
from pt4al_backend.web.refusals import RefusedError


def test_every_action_has_its_body() -> None:
    assert list(BODIES) == list(ACTIONS)


def test_the_settings_of_a_project_may_be_sent() -> None:
    assert tuple(OwnSettings.model_fields) == OF_PROJECT
    sent = {"cycles": 5, "target": 90, "validation": 0.1, "preannotate": True, "strategy": "margin", "encoder": None}
    assert OwnSettings.of(sent, strict=True).model_dump(exclude_unset=True) == sent


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({"cycles": "5"}, "cycles: it has to be a whole number."),
        ({"target": 101, "cycels": 5}, "target: it has to be at most 100. cycels cannot be set for one project."),
        ({"encoder": ["a"]}, "encoder: it has to be text."),
    ],
)
def test_all_that_is_wrong_with_settings_is_said(sent: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError, match=f"^Nothing was changed. {says}$"):
        OwnSettings.of(sent, strict=True)


def test_a_form_sends_numbers_as_text() -> None:
    sent = {"task": "7", "question": "kind", "answer": '"cat"'}
    assert Confirm.of(sent).task == 7
    with pytest.raises(RefusedError, match="send task, question and answer"):
        Confirm.of(sent, strict=True)
