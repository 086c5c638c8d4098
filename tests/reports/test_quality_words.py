"""How good the model is, in words."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
from support.filled_pages import quality_of_two_classes
from support.filled_store import QUESTIONS

from pt4al_backend.assessment.estimates import Estimate
from pt4al_backend.assessment.mask_quality import segmentation_quality
from pt4al_backend.assessment.quality import multiple_quality
from pt4al_backend.reports.quality_words import TOO_MANY, interval, percent, quality_shown


def test_an_estimate_and_a_share() -> None:
    assert interval(0.5, 0.401, 0.599) == "50.0 % (40 to 60)"
    assert (percent(0.333), percent(None)) == ("33 %", "-")


def test_one_class() -> None:
    (shown,) = quality_shown(quality_of_two_classes(), QUESTIONS)
    assert [row["name"] for row in shown["classes"]] == ["cat", "dog"]
    assert shown["confusion"] and "Cross-validated on 40 labels" in shown["sentence"]


def test_before_images_are_held_out_it_is_how_sure_the_model_is() -> None:
    (shown,) = quality_shown(quality_of_two_classes(confidence=0.914), QUESTIONS)
    assert (
        shown["words"] == "about 91 %" and "Cross-validated on 40 labels it is right about 75.0 %" in shown["sentence"]
    )
    (shown,) = quality_shown(quality_of_two_classes(confidence=0.914, held_out=True), QUESTIONS)
    assert "91" not in shown["words"] and shown["sentence"].startswith("Measured on 40 random images")


def test_any_classes() -> None:
    found = multiple_quality(np.array([[1, 0], [0, 1]]), np.array([[0.9, 0.2], [0.6, 0.7]]))
    assert found is not None
    shown = shown_of(found.images_right, found, "multiple")
    assert shown["words"].startswith("50.0 %") and "75 % are right" in shown["more"]
    assert shown["confusion"] is None


def test_masks() -> None:
    """Of each image 30 pixels are cat, and of these 10 are taken for dog; 70 are dog and found."""
    found = segmentation_quality(np.array([[[20, 10], [0, 70]]] * 12))
    assert found is not None
    shown = shown_of(found.mean_iou, found, "segmentation")
    assert [(row["name"], row["area"], row["iou"]) for row in shown["classes"]] == [
        ("cat", "30 %", "67 %"),
        ("dog", "70 %", "88 %"),
    ]
    assert shown["confusion"] == [[67, 33], [0, 100]] and not shown["opens"]
    assert "90 % are right" in shown["more"] and shown["calibration"] == ""


def test_a_matrix_of_many_classes_is_not_shown() -> None:
    classes = [str(k) for k in range(TOO_MANY + 1)]
    questions = [{"name": "kind", "kind": "single", "classes": classes}]
    body = quality_of_two_classes(classes=classes) | {"questions_asked": questions}
    quality = body["questions"][0]["quality"]
    quality["classes"] = [quality["classes"][0]] * (TOO_MANY + 1)
    (shown,) = quality_shown(body, questions)
    assert shown["confusion"] is None


@pytest.mark.parametrize("changed", [{"classes": ["cat"]}, {"classes": ["dog", "cat"]}, {"name": "other"}])
def test_what_was_measured_of_other_questions_is_not_shown(changed: dict[str, Any]) -> None:
    assert quality_shown(quality_of_two_classes(), [QUESTIONS[0] | changed]) == []


def shown_of(estimate: Estimate, quality: Any, label_type: str) -> dict[str, Any]:
    """What is shown of the one question."""
    figures = {"estimate": asdict(estimate), "quality": asdict(quality)}
    (shown,) = quality_shown(quality_of_two_classes(label_type=label_type, **figures), QUESTIONS)
    return shown
