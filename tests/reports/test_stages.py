from __future__ import annotations

import pytest

from pt4al_backend.reports.stages import STAGES, model_words, order_from, pretext_words, time_left
from pt4al_backend.store import tables


def test_every_stage_has_a_title() -> None:
    stages = {tables.WAITING, tables.IMAGES, tables.PRETEXT, tables.TRAINING, tables.READY_STAGE, tables.ERROR}
    assert STAGES.keys() == stages


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "512 of 4,998 images so far"),
        ({"ranked": 4998}, "all 4,998 images"),
        ({"model_version": ""}, ""),
        ({"ranked": 0}, ""),
    ],
)
def test_how_many_images_an_order_is_chosen_from_in_words(fields: dict[str, object], words: str) -> None:
    project = {"tasks": 5000, "unreadable": 2, "ranked": 512, "model_version": "pt4al-r0-n0-abc"}
    assert order_from(project | fields) == words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "linear probe"),
        ({"fine_tuned": False, "fine_tuned_accuracy": None, "probe_accuracy": None}, "linear probe"),
        (
            {"fine_tuned": True, "fine_tuned_accuracy": 0.912, "probe_accuracy": 0.88},
            "fine-tuned encoder, cross-validated 91 % against 88 %",
        ),
        (
            {"fine_tuned": False, "fine_tuned_accuracy": 0.85, "probe_accuracy": 0.88},
            "linear probe, cross-validated 88 % against 85 % fine-tuned",
        ),
    ],
)
def test_which_model_serves_in_words(fields: dict[str, object], words: str) -> None:
    assert model_words(fields) == words


def test_whether_there_are_batches_in_words() -> None:
    assert [pretext_words({"pretext_learned": learned}) for learned in (False, True)] == ["not learned yet", "learned"]


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
