"""Images with known labels that the tests of simulations share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.colour_encoder import colour_encoders
from support.drawn_masks import write_shapes
from support.one_decoder import one_decoder  # noqa: F401  a fixture of all tests here
from support.simulating import Simulate, simulating, write_digits


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 digits of four classes: 64 to label and 16 to measure on."""
    return write_digits(tmp_path_factory.mktemp("images") / "digits", 20, 20, 20, 20)


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 digits of two classes: 16 to label and 4 to measure on."""
    return write_digits(tmp_path_factory.mktemp("few") / "digits", 10, 10)


@pytest.fixture(scope="session")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 drawings with their masks."""
    return write_shapes(tmp_path_factory.mktemp("drawings") / "shapes", 20)


@pytest.fixture
def colours() -> Iterator[set[str]]:
    """See `colour_encoders`."""
    with colour_encoders() as missing:
        yield missing


@pytest.fixture
def simulate(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Simulate:
    """See `simulating`."""
    return simulating(monkeypatch, capsys)
