"""One decoding process instead of one per core, for tests that decode a few small images again and again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pt4al_backend.store import decoders


@pytest.fixture(autouse=True, scope="package")
def one_decoder() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoders, "MOST", 1)
        yield
