from __future__ import annotations

import pytest

from pt4al_backend.reports.stages import STAGES, time_left
from pt4al_backend.store import tables


def test_every_stage_has_a_title() -> None:
    stages = {tables.WAITING, tables.IMAGES, tables.PRETEXT, tables.TRAINING, tables.READY_STAGE, tables.ERROR}
    assert STAGES.keys() == stages


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0.2, "about 1 s left"),
        (20, "about 20 s left"),
        (300, "about 5 min left"),
        (3700, "about 62 min left"),
        (7200, "about 2 h left"),
    ],
)
def test_time_left_in_words(seconds: float | None, words: str) -> None:
    assert time_left(seconds) == words
