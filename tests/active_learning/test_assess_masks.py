"""How well masks are predicted, and which look wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.coloured_shapes import shape_regions
from support.question_rig import MASK, QuestionRig
from support.tiny_encoder import NAME, tiny_encoders

from pt4al_backend.active_learning import assess_masks, hold_out
from pt4al_backend.reports.project_report import labels_report, overview
from pt4al_backend.reports.status import health
from pt4al_backend.store.findings import QUALITY, SUSPECTS

CLASSES = [*MASK.classes, "background"]


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[QuestionRig]:
    monkeypatch.setattr(hold_out, "SINCE", 25)
    monkeypatch.setattr(hold_out, "LEAST", 5)
    monkeypatch.setattr(assess_masks, "LEAST", 5)
    with tiny_encoders():
        rig = QuestionRig(tmp_path, MASK, n=60, encoder=NAME, fine_tune=False)
        rig.workspace.learns_pretext = False
        rig.settle()
        yield rig
        rig.store.close()


def report_of(rig: QuestionRig) -> dict:
    finding = rig.store.finding(rig.id, QUALITY)
    assert finding is not None
    return finding.body["questions"][0]


def test_it_is_cross_validated_and_later_measured_on_held_out_images(rig: QuestionRig) -> None:
    rig.platform.answer(*range(1, 26))
    rig.settle()
    report = report_of(rig)
    assert (report["classes"], report["held_out"], report["estimate"]["n"]) == (CLASSES, False, 25)
    assert report["estimate"]["low"] <= report["estimate"]["value"] <= report["estimate"]["high"]
    assert report["quality"]["classes"][-1]["iou"] > 0.5, "most of each image is background"
    shown = overview(rig.store, rig.settings, rig.project, health(rig.store))
    assert [row["name"] for row in shown["quality"][0]["classes"]] == CLASSES
    assert shown["curve"][-1]["value"] == report["estimate"]["value"]

    pool = rig.store.pool(rig.project)
    held_out = pool.task[pool.held_out].tolist()
    rig.platform.answer(*held_out)
    rig.settle()
    assert (report_of(rig)["held_out"], report_of(rig)["estimate"]["n"]) == (True, len(held_out))


def test_a_mask_of_the_wrong_class_is_listed(rig: QuestionRig) -> None:
    rig.platform.answer(*range(1, 25))
    wrong = 5
    regions = shape_regions(wrong - 1)
    everything = regions[0] | {"label": MASK.classes[0], "points": [[0, 0], [100, 0], [100, 100], [0, 100]]}
    everything.pop("rle", None)
    rig.platform.answer(wrong, mask=[everything])
    rig.settle()
    finding = rig.store.finding(rig.id, SUSPECTS)
    assert finding is not None
    assert finding.body["labels"][0]["task"] == wrong
    (first, *_) = labels_report(rig.store, rig.project, truth=None, guess=None)["labels"]
    assert first["said"] == f"A person drew: {MASK.classes[0]}" and "of the drawn area" in first["says"]
    rig.store.confirm(rig.id, wrong, MASK.name, first["answer"])
    after = labels_report(rig.store, rig.project, truth=None, guess=None)["labels"]
    assert wrong not in [each["task"] for each in after]
