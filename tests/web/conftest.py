"""The real app over a fresh store; every answer is held against the description of the routes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from support.conforming import ConformingClient
from support.filled_store import settings_in
from support.served import load_model

from pt4al_backend.store.store import Store
from pt4al_backend.web.app import create_app
from pt4al_backend.web.context import context


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., FlaskClient]]:
    """`start(**settings)` serves a fresh data directory with these settings."""

    def open_app(**settings: object) -> FlaskClient:
        app = create_app(load_model, settings_in(tmp_path / "data", **settings))
        return ConformingClient(app, app.response_class, use_cookies=True)

    yield open_app
    context().store.close()


@pytest.fixture
def client(start: Callable[..., FlaskClient]) -> FlaskClient:
    """The app that knows its Label Studio."""
    return start()


@pytest.fixture
def store(client: FlaskClient) -> Store:
    """The store that `client` serves."""
    return context().store
