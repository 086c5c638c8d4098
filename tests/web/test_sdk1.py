"""label-studio-ml 1.0.9, which behaves like 2.x."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from flask.testing import FlaskClient
from support.filled_store import CONFIG, add_ranked, webhook

from pt4al_backend.store.store import Store


@pytest.fixture
def manager(client: FlaskClient) -> Any:
    """The manager that replaces the one of the SDK."""
    return importlib.import_module("label_studio_ml.api")._manager


def test_a_model_per_request(manager: Any, store: Store) -> None:
    add_ranked(store)
    first, second = (manager.fetch("12", CONFIG) for _ in range(2))
    assert first.model is not second.model
    assert first.model_version == "pt4al-r0-n0-p12"


def test_predict_needs_no_setup_before(manager: Any) -> None:
    predictions, wrapper = manager.predict([{"id": 1}], "77.5", CONFIG, False, True, login=None)
    assert [prediction["model_version"] for prediction in predictions] == ["pt4al-preparing"]
    assert wrapper.model_version == "pt4al-preparing"


def test_events_are_handled_within_the_request(manager: Any, store: Store) -> None:
    project = add_ranked(store)
    data = webhook("START_TRAINING")
    assert manager.webhook(data.pop("action"), data)["result"]["woken"] == 1
    assert store.wake_times()[project.id] > project.wake_at
    assert manager.webhook("LABEL_LINK_CREATED", data) == {"status": "Unknown event"}
    assert manager.is_training("12") == {"is_training": False}
