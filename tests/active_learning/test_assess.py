"""When the model is measured, on what, and which labels look wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.rig import Rig
from support.tiny_encoder import NAME, tiny_encoders

from pt4al_backend.active_learning import assess_classes, hold_out
from pt4al_backend.labelling.questions import Judgement
from pt4al_backend.reports.project_report import labels_report, overview
from pt4al_backend.reports.status import health, status
from pt4al_backend.store.findings import QUALITY, SUSPECTS, Found


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    monkeypatch.setattr(hold_out, "SINCE", 60)
    monkeypatch.setattr(hold_out, "LEAST", 10)
    monkeypatch.setattr(assess_classes, "LEAST", 10)
    with tiny_encoders():
        rig = Rig(tmp_path, n=150, encoder=NAME, strategy="margin", fine_tune=False)
        rig.workspace.learns_pretext = False
        rig.settle()
        yield rig
        rig.close()


def label(rig: Rig, *tasks: int) -> None:
    for task in tasks:
        rig.platform.label(task)
    rig.settle()


def estimate(rig: Rig) -> float | None:
    return status(rig.store, rig.settings)["projects"][0]["estimate"]


def found(rig: Rig, kind: str) -> Found:
    finding = rig.store.finding(rig.id, kind, arrays=True)
    assert finding is not None
    return finding


def test_it_is_measured_as_labels_grow_and_not_at_every_label(rig: Rig) -> None:
    label(rig, *range(1, 10))
    assert rig.store.finding(rig.id, QUALITY) is None
    label(rig, 10)
    assert found(rig, QUALITY).body["labels"] == 10
    label(rig, 11, 12, 13, 14)
    assert found(rig, QUALITY).body["labels"] == 10
    label(rig, 15)
    assert found(rig, QUALITY).body["labels"] == 15
    assert [point.labels for point in rig.store.measurements(rig.id)] == [10, 15]
    before = len(rig.platform.published)
    label(rig, *range(16, 21))
    assert len(rig.platform.published) == before + 1, "what is measured changes no order"


def test_a_removed_label_a_new_class_and_another_encoder_count(rig: Rig) -> None:
    label(rig, *range(1, 31))
    for task in range(1, 11):
        rig.platform.unlabel(task)
    rig.settle()
    assert found(rig, QUALITY).body["labels"] == 20
    rig.platform.classes = (*rig.platform.classes, "ten")
    rig.settle()
    assert len(found(rig, QUALITY).body["questions"][0]["quality"]["classes"]) == 11


def test_held_out_images_measure_it_once_enough_are_labelled(rig: Rig) -> None:
    label(rig, *range(1, 61))
    (report,) = found(rig, QUALITY).body["questions"]
    assert not report["held_out"] and report["estimate"]["n"] == 60
    assert 0.1 < report["confidence"] < 1 and estimate(rig) == report["confidence"]
    drawn = rig.pool().task[rig.pool().held_out].tolist()
    label(rig, *drawn[:9])
    assert not found(rig, QUALITY).body["questions"][0]["held_out"]
    label(rig, drawn[9], *rig.platform.queue[:5])
    (report,) = found(rig, QUALITY).body["questions"]
    assert report["held_out"] and report["estimate"]["n"] == 10
    assert sorted(found(rig, QUALITY).arrays["task"].tolist()) == sorted(drawn)
    assert rig.store.measurements(rig.id)[-1].held_out
    assert estimate(rig) == report["estimate"]["value"]


def test_wrong_labels_are_found_and_can_be_called_right(rig: Rig) -> None:
    label(rig, *range(1, 56))
    wrong = [7, 19, 33]
    for task in wrong:
        rig.platform.label(task, str((int(rig.platform.truth(task)) + 5) % 10))
    label(rig, 56, 57, 58, 59, 60)
    labels = labels_report(rig.store, rig.project, truth=None, guess=None)["labels"]
    listed = [each["task"] for each in labels]
    assert len(set(wrong) & set(listed[:8])) >= 2  # the tiny encoder knows little
    assert labels[0]["said"].startswith("A person: ") and labels[0]["says"].startswith("The model: ")
    rig.store.confirm(rig.id, labels[0]["task"], labels[0]["question"], labels[0]["answer"])
    after = labels_report(rig.store, rig.project, truth=None, guess=None)
    assert [each["task"] for each in after["labels"]] == listed[1:] and after["confirmed"] == 1


def test_people_and_what_they_are_told(rig: Rig) -> None:
    for task in range(1, 31):
        rig.platform.label(task)
        answers = {"digit": rig.platform.truth(task)}
        judgements = (Judgement(1 + task % 2, 4.0 + task, answers), Judgement(3, None, answers))
        rig.platform.judge(task, *judgements)
    rig.settle()
    people = found(rig, SUSPECTS).body["annotators"]
    assert [(each["annotator"], each["labels"]) for each in people["each"]] == [(3, 30), (1, 15), (2, 15)]
    report = labels_report(rig.store, rig.project, truth=None, guess=None)
    assert report["annotators"][0]["seconds"] == "-" and report["annotators"][1]["seconds"].endswith(" s")
    assert report["annotators"][1]["others"] == "15 of 15"
    assert report["together"].startswith("Of 30 tasks that several people labelled, 100 % got the same answer")
    shown = overview(rig.store, rig.settings, rig.project, health(rig.store))
    assert shown["quality"][0]["words"].count("%") == 1
    assert "Cross-validated on 30 labels" in shown["quality"][0]["sentence"]


def test_a_forecast_needs_four_points(rig: Rig) -> None:
    for until in (10, 15, 20):
        label(rig, *range(until - 9, until + 1))
    assert found(rig, QUALITY).body["forecast"] is None
    label(rig, *range(21, 26))
    forecast = found(rig, QUALITY).body["forecast"]
    assert (forecast["labels"], forecast["pool"]) == (25, 150)
    assert 0 <= forecast["with_all"]["low"] <= forecast["with_all"]["high"] <= 1
    sentences = overview(rig.store, rig.settings, rig.project, health(rig.store))["forecast"]
    assert any("With all 150 images labelled: about" in sentence for sentence in sentences)


def test_the_numbers_of_the_confusion_matrix_are_those_of_its_images(rig: Rig) -> None:
    label(rig, *range(1, 41))
    finding = found(rig, QUALITY)
    confusion = np.array(finding.body["questions"][0]["quality"]["confusion"])
    counted = np.zeros_like(confusion)
    np.add.at(counted, (finding.arrays["truth"], finding.arrays["guess"]), 1)
    assert (counted == confusion).all()
