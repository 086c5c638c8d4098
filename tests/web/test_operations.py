"""The table of routes. Whether it is true: `test_openapi.py`."""

from __future__ import annotations

import re

import pytest

from pt4al_backend.web.actions import ACTIONS
from pt4al_backend.web.operations import OPERATIONS, PATH_PARAMETERS, REFUSALS, TAGS, Operation
from pt4al_backend.web.security import OPEN_PATHS


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_what_an_operation_names_is_explained(operation: Operation) -> None:
    assert operation.tag in TAGS and operation.summary
    assert set(re.findall(r"{(\w+)}", operation.path)) <= PATH_PARAMETERS.keys()
    assert operation.refusals.keys() <= REFUSALS.keys()
    assert operation.open == (operation.path in OPEN_PATHS) == (401 not in operation.refusals)
    assert (operation.body is not None) == (operation.method == "post")


def test_an_operation_is_there_once() -> None:
    named = [(operation.method, operation.path) for operation in OPERATIONS]
    assert len(named) == len(set(named))


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_for_people_and_for_programs(action: str) -> None:
    paths = {operation.path for operation in OPERATIONS if operation.method == "post"}
    assert {f"/api/projects/{{project_id}}/{action}", f"/dashboard/{{project_id}}/{action}"} <= paths
