"""The map of the pool: when it is drawn, and where images are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.rig import Rig
from support.tiny_encoder import NAME, tiny_encoders

from pt4al_backend.store.findings import MAP, Found


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with tiny_encoders():
        rig = Rig(tmp_path, n=60, encoder=NAME, strategy="margin", fine_tune=False)
        rig.workspace.learns_pretext = False
        rig.settle()
        yield rig
        rig.close()


def found(rig: Rig) -> Found:
    finding = rig.store.finding(rig.id, MAP, arrays=True)
    assert finding is not None
    return finding


def test_every_image_has_a_place_and_copies_have_the_same(rig: Rig) -> None:
    arrays = found(rig).arrays
    assert arrays["task"].tolist() == list(range(1, 61))
    assert len(np.unique(arrays["x"])) > 30 and len(np.unique(arrays["y"])) > 30
    rig.platform.add([100])
    rig.platform.show(100, "digit:4")
    rig.settle()
    arrays = found(rig).arrays
    copy, original = (np.flatnonzero(arrays["task"] == task)[0] for task in (100, 5))
    assert (arrays["x"][copy], arrays["y"][copy]) == (arrays["x"][original], arrays["y"][original])


def test_it_is_not_drawn_again_for_a_label_or_a_deleted_image(rig: Rig) -> None:
    stamp = found(rig).stamp
    rig.platform.label(rig.platform.queue[0])
    rig.platform.delete(60)
    rig.settle()
    assert found(rig).stamp == stamp
    rig.platform.add(range(101, 104))
    rig.settle()
    assert found(rig).stamp > stamp
