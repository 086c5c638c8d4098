"""Rows of a store, as the tests of the store make them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.labelling.platform import TaskState
from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project

QUESTIONS = [
    {"name": "kind", "kind": "single", "classes": ["cat", "dog"]},
    {"name": "tags", "kind": "multiple", "classes": ["small", "wet"]},
    {"name": "where", "kind": "segmentation", "classes": ["cat", "dog"]},
]


def state(
    task: int, *, version: str = "1", label: str | None = None, image: str | None = None, skipped: bool = False
) -> TaskState:
    """A task as a platform shows it."""
    answers: dict[str, Any] = {} if label is None else {"kind": label}
    return TaskState(task, image or f"/{task}.png", version, answers, skipped, int(label is not None), int(skipped))


def fetch(store: Store, project: Project, ids: list[int]) -> NDArray[np.int64]:
    """Their images are in the pixel store from now on. Returns the rows."""
    rows = store.reserve_rows(project.id, ids)
    store.images_done(project.id, ready={i: (f"/{i}.png", 40, 30) for i in ids}, failed={})
    return rows
