"""How good the model is, in words."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
from support.filled_pages import quality_of_two_classes
from support.filled_store import QUESTIONS

from pt4al_backend.assessment.quality import multiple_quality
from pt4al_backend.reports.quality_words import TOO_MANY, interval, percent, quality_shown


def test_an_estimate_and_a_share() -> None:
    assert interval(0.5, 0.401, 0.599) == "50.0 % (40 to 60)"
    assert (percent(0.333), percent(None)) == ("33 %", "-")


def test_one_class() -> None:
    (shown,) = quality_shown(quality_of_two_classes(), QUESTIONS)
    assert [row["name"] for row in shown["classes"]] == ["cat", "dog"]
    assert shown["confusion"] and "Cross-validated on 40 labels" in shown["sentence"]


def test_any_classes() -> None:
    found = multiple_quality(np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.6, 0.7]]))
    assert found is not None
    report = {"question": "kind", "label_type": "multiple", "held_out": True}
    report |= {"estimate": asdict(found.images_right), "quality": asdict(found)}
    (shown,) = quality_shown({"questions": [report]}, QUESTIONS)
    assert shown["words"].startswith("50.0 %") and "75 % are right" in shown["more"]
    assert shown["confusion"] is None


def test_a_matrix_of_many_classes_is_not_shown() -> None:
    questions = [{"name": "kind", "kind": "single", "classes": [str(k) for k in range(TOO_MANY + 1)]}]
    body = quality_of_two_classes()
    quality = body["questions"][0]["quality"]
    quality["classes"] = [quality["classes"][0]] * (TOO_MANY + 1)
    (shown,) = quality_shown(body, questions)
    assert shown["confusion"] is None


def test_what_was_measured_of_other_classes_is_not_shown() -> None:
    assert quality_shown(quality_of_two_classes(), [{"name": "kind", "kind": "single", "classes": ["cat"]}]) == []
    assert (
        quality_shown(quality_of_two_classes(), [{"name": "other", "kind": "single", "classes": ["cat", "dog"]}]) == []
    )
