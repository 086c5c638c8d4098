"""Answers of images to one question."""

from __future__ import annotations

from pt4al_backend.labelling.questions import Answers


def answers(name: str, *values: object) -> list[Answers]:
    """One image per value, `None`: it does not answer this question but another."""
    return [{"other": 1} if value is None else {"other": 1, name: value} for value in values]
