"""Loops that tests share. What a module shares they change, one after the other."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.colour_encoder import colour_encoders
from support.one_decoder import one_decoder  # noqa: F401  a fixture of all tests here
from support.question_rig import MASK, QuestionRig, opened
from support.rig import Rig


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    yield rig
    rig.close()


@pytest.fixture
def colours() -> Iterator[set[str]]:
    """See `colour_encoders`."""
    with colour_encoders() as missing:
        yield missing


@pytest.fixture(scope="module")
def settled(tmp_path_factory):
    rig = Rig(tmp_path_factory.mktemp("settled"))
    rig.settle()
    yield rig
    rig.close()


@pytest.fixture(scope="module")
def segmented(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QuestionRig]:
    """Sixty images, the first of them labelled and trained on."""
    with opened(tmp_path_factory.mktemp("segmented"), MASK, n=60, main_epochs=15, query_size=30, slack=10) as rig:
        rig.settle()
        rig.platform.answer(*range(1, 21))
        rig.settle()
        yield rig
