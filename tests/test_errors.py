"""The tree of errors: what callers catch together, and what errors tell besides their text."""

from __future__ import annotations

import pytest

from pt4al_backend import errors
from pt4al_backend.errors import (
    DataGoneError,
    DataReplacedError,
    LabelStudioError,
    LabelStudioRefusedError,
    LabelStudioUnavailableError,
    ProjectGoneError,
    ProjectResetError,
    PT4ALError,
    StoreError,
)

ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
ERRORS.remove(ProjectResetError)  # it has a text of its own


@pytest.mark.parametrize("kind", ERRORS)
def test_every_error_is_one_of_ours_and_keeps_its_text(kind: type[Exception]) -> None:
    status = {"status": 404} if kind is LabelStudioRefusedError else {}
    error = kind("What is wrong. What to do.", **status)
    assert isinstance(error, PT4ALError)
    assert str(error) == "What is wrong. What to do."


def test_a_project_that_was_reset() -> None:
    assert str(ProjectResetError(12)) == "Project 12 was reset while it was worked on."
    assert issubclass(ProjectResetError, PT4ALError)


def test_what_trying_again_may_help() -> None:
    assert issubclass(DataGoneError, StoreError) and issubclass(DataReplacedError, StoreError)
    for kind in (LabelStudioUnavailableError, ProjectGoneError, LabelStudioRefusedError):
        assert issubclass(kind, LabelStudioError)
    assert not issubclass(LabelStudioRefusedError, LabelStudioUnavailableError)


def test_http_statuses() -> None:
    assert LabelStudioUnavailableError("No connection.").status == 0
    assert LabelStudioUnavailableError("Overloaded.", status=503).status == 503
    assert LabelStudioRefusedError("Not found.", status=404).status == 404
