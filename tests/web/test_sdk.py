"""Properties of the adapter on both SDK generations."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from pt4al_backend.web.context import context
from pt4al_backend.web.sdk import load_sdk


@pytest.mark.parametrize("before", [None, "/elsewhere"])
def test_the_environment_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None) -> None:
    monkeypatch.delenv("MODEL_DIR", raising=False)
    if before is not None:
        monkeypatch.setenv("MODEL_DIR", before)
    load_sdk(tmp_path)
    assert os.environ.get("MODEL_DIR") == before


def test_the_debug_log_of_the_sdk_stays_off(client: FlaskClient) -> None:
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        for name in ("label_studio_ml", "label_studio_ml.api", "label_studio_ml.model"):
            assert not logging.getLogger(name).isEnabledFor(logging.DEBUG)
    finally:
        logging.getLogger().setLevel(logging.WARNING)


def test_one_app_serves_the_newest_settings(start: Callable[..., FlaskClient]) -> None:
    first = start(cycles=3)
    second = start(cycles=4)
    assert first.application is second.application
    assert context().settings.cycles == 4
    assert first.get("/health").status_code == 200


def test_it_is_the_sdks_own_app(client: FlaskClient) -> None:
    assert client.application.name == "label_studio_ml.api"
    assert client.application.extensions["pt4al"]


def test_the_web_process_never_imports_torch(tmp_path: Path) -> None:
    """Fact 28: it would take half a gigabyte. In a process of its own, because other tests need torch."""
    code = (
        "import sys; from pt4al_backend.settings import Settings; from pt4al_backend._wsgi import _load_model; "
        "from pt4al_backend.web.app import create_app; "
        f"create_app(_load_model, Settings(data_dir={str(tmp_path)!r})); print('torch' in sys.modules)"
    )
    environment = os.environ | {"PT4AL_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr
