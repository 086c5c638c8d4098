"""A store, and a project in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.stored import QUESTIONS

from pt4al_backend.store.store import Store
from pt4al_backend.store.tables import Project


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


@pytest.fixture
def project(store: Store) -> Project:
    project = store.connect(url="http://x", number=7, created="99", access_token="", label_config="<View/>")
    store.update(project.id, questions=QUESTIONS)
    return project
