"""An encoder that can be fine-tuned within seconds: timm's smallest EfficientNet, with random weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import timm
import torch

from pt4al_backend.learning import ENCODERS, Encoder
from pt4al_backend.learning.encoders import Wanted
from pt4al_backend.learning.timm_encoder import timm_encoder

NAME = "tiny"


def tiny_encoder(*, size: int = 32, dense: bool = False, architecture: str = "test_efficientnet") -> Encoder:
    """`size`: side of its inputs in pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors = timm.create_model(architecture, num_classes=0).state_dict()
    return timm_encoder(NAME, architecture, lambda: tensors, dense=dense, input_size=size)


@contextmanager
def tiny_encoders() -> Iterator[None]:
    """The encoder `tiny` is known."""

    def make(wanted: Wanted) -> Encoder:
        return tiny_encoder(dense=wanted.dense, size=wanted.input_size or 32)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENCODERS, NAME, make)
        yield
