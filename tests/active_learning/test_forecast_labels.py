"""What the learning curve promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.rig import Rig

from pt4al_backend.active_learning.forecast_labels import forecast_labels


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    rig = Rig(tmp_path, n=20, target=80.0)
    yield rig
    rig.close()


def measured(rig: Rig, *points: tuple[int, float], held_out: bool = False) -> None:
    for labels, value in points:
        columns = {"model_version": "v", "round": 0, "held_out": held_out, "images": 200}
        rig.store.add_measurement(rig.id, labels=labels, value=value, low=0.0, high=1.0, **columns)


def test_too_few_points_promise_nothing(rig: Rig) -> None:
    assert forecast_labels(rig.workspace, rig.project, pool=1000) is None
    measured(rig, (10, 0.3), (20, 0.4), (30, 0.5))
    assert forecast_labels(rig.workspace, rig.project, pool=1000) is None


def test_more_labels_are_better_and_the_target_is_ahead(rig: Rig) -> None:
    measured(rig, (10, 0.3), (20, 0.42), (40, 0.55), (80, 0.65), (120, 0.7), held_out=True)
    forecast = forecast_labels(rig.workspace, rig.project, pool=1000)
    assert forecast is not None
    assert forecast["with_all"]["estimate"] > 0.7
    assert forecast["target"] == 0.8 and forecast["needed"]["estimate"] > 120
    assert not forecast["levelled_off"]


def test_held_out_images_say_how_far_off_a_cross_validation_is(rig: Rig) -> None:
    measured(rig, *((labels, 0.5) for labels in (10, 20, 40, 80)))
    before = forecast_labels(rig.workspace, rig.project, pool=1000)
    measured(rig, (200, 0.9), (220, 0.91), held_out=True)
    after = forecast_labels(rig.workspace, rig.project, pool=1000)
    assert before is not None and after is not None
    widths = [each["with_all"]["high"] - each["with_all"]["low"] for each in (before, after)]
    assert after["with_all"]["estimate"] > 0.87 and widths[1] < widths[0] / 2


def test_cross_validation_is_believed_where_labels_are_drawn_at_random(rig: Rig, tmp_path: Path) -> None:
    other = Rig(tmp_path / "random", n=20, target=80.0, strategy="random")
    for each in (rig, other):
        measured(each, *((labels, 0.5) for labels in (10, 20, 40, 80)))
    chosen, at_random = (forecast_labels(each.workspace, each.project, pool=1000) for each in (rig, other))
    other.close()
    assert chosen is not None and at_random is not None
    assert at_random["with_all"]["estimate"] < 0.6 < chosen["with_all"]["estimate"]
