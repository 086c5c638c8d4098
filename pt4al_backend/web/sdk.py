"""Hides the difference between the generations of label-studio-ml: 1.0.9 on PyPI, and 2.x (facts 23 to 26)."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask import Flask

_LOGGERS = ("label_studio_ml", "label_studio_ml.api", "label_studio_ml.model")


def load_sdk(data_dir: Path) -> None:
    """Import label-studio-ml, and not PyTorch with it.

    On import, 2.x writes a `cache.db`: into `data_dir`, so that it does not appear in the working directory.
    Its debug log shows headers and bodies, which contain tokens, so it is never enabled.
    """
    before = os.environ.get("MODEL_DIR")
    os.environ["MODEL_DIR"] = str(data_dir)
    try:
        with _without_torch():
            importlib.import_module("label_studio_ml.model")
    finally:
        if before is None:
            del os.environ["MODEL_DIR"]
        else:
            os.environ["MODEL_DIR"] = before
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.setLevel(max(logging.INFO, logger.getEffectiveLevel()))


@contextmanager
def _without_torch() -> Iterator[None]:
    """Let the SDK fall back to the standard library's multiprocessing, of which it uses nothing here (fact 28)."""
    name = "torch.multiprocessing"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]  # an import of it then raises ImportError
    try:
        yield
    finally:
        del sys.modules[name]


def create_sdk_app(model_class: Any) -> Flask:
    """Create the SDK's app, which serves `model_class` and behaves like 2.x on both generations.

    The app is a global object of the SDK: every call returns the same one.
    """
    api: Any = importlib.import_module("label_studio_ml.api")
    if hasattr(api, "_manager"):
        from pt4al_backend.web.sdk1 import PerRequestManager

        api._manager = PerRequestManager()
    else:
        api.TRAIN_EVENTS = model_class.TRAIN_EVENTS
    app: Flask = api.init_app(model_class)
    api.BASIC_AUTH = None  # our check leaves /health open; two checks could disagree
    return app
