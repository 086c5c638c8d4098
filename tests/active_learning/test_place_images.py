"""The map of the pool: when it is drawn, and where images are."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.rig import Rig
from support.tiny_encoder import NAME, tiny_encoders

from pt4al_backend.active_learning import place_images
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


def test_it_is_arranged_when_nothing_else_is_to_do_and_then_nothing_moves(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = found(rig)
    assert plane.body["arranged"] == 0
    monkeypatch.setattr(place_images, "FEWEST_ARRANGED", 30)
    rig.platform.label(1)
    rig.settle()
    arranged = found(rig)
    assert arranged.body["arranged"] == 60
    assert not (arranged.arrays["x"] == plane.arrays["x"]).all()

    rig.platform.add([100])
    rig.platform.show(100, "digit:4")
    rig.settle()
    grown = found(rig)
    assert (grown.body["images"], grown.body["arranged"]) == (61, 60)
    before, after = ([each.arrays[name][:60] for name in ("task", "x", "y")] for each in (arranged, grown))
    assert all((one == other).all() for one, other in zip(before, after, strict=True))
    copy, original = (np.flatnonzero(grown.arrays["task"] == task)[0] for task in (100, 5))
    assert (grown.arrays["x"][copy], grown.arrays["y"][copy]) == (
        grown.arrays["x"][original],
        grown.arrays["y"][original],
    )

    rig.platform.add(range(101, 116))
    rig.settle()
    assert found(rig).body["arranged"] == 76


def test_images_that_come_meanwhile_are_not_kept_waiting(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    going_on = threading.Event()
    monkeypatch.setattr(place_images, "FEWEST_ARRANGED", 30)
    monkeypatch.setattr(place_images.Neighbourhoods, "of", lambda *_args, **_options: going_on.wait(60))
    rig.platform.label(1)
    rig.turn_until(lambda: rig.project.stage_detail == place_images.ARRANGING)
    rig.platform.add([100])
    rig.turn_until(lambda: len(rig.pool()) == 61)
    going_on.set()


def test_an_error_in_the_thread_is_raised_where_the_result_is_taken() -> None:
    work = place_images._in_background(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        list(work)
