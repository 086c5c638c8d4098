"""Loads what the first project will need while a worker has no project: it is ten seconds of the first order."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator

from pt4al_backend import learning
from pt4al_backend.errors import LearningError

logger = logging.getLogger(__name__)

LIBRARIES = ("torchvision", "timm", "scipy.optimize", "sklearn.cluster")
"""Modules that are slow to import, and that an order by a pretrained encoder needs."""


def prepare(encoder: str | None, device: str) -> Iterator[None]:
    """Import libraries and load the encoder, in steps of up to some seconds.

    Args:
        encoder: that projects use; nothing is done for other ones than the built-in: nobody may ever need them.
        device: `cpu`, `cuda` or `cuda:<n>`.
    """
    if encoder != learning.DEFAULT_ENCODER:
        return
    for name in LIBRARIES:
        importlib.import_module(name)
        yield
    try:
        made = learning.make_encoder(encoder, stored=_nothing_stored, dense=False)
        yield
        made.load(device)
    except LearningError as error:
        logger.warning("%s", error)  # a project that needs it will say so, too


def _nothing_stored(name: str) -> learning.Weights:
    raise LearningError(f"There is no network {name} before there is a project.")
