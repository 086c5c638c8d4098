"""Questions and predictions as values."""

from __future__ import annotations

from pt4al_backend.labelling.questions import Prediction, Question
from pt4al_backend.labelling.segmentation import SEGMENTATION, Segmentation
from pt4al_backend.labelling.single import SINGLE


def test_equal_fields_make_equal_questions() -> None:
    asked = Question("kind", SINGLE, ("cat", "dog"))
    assert asked == Question("kind", SINGLE, ("cat", "dog")) and hash(asked) == hash(Question(*vars(asked).values()))
    assert asked != Question("kind", SEGMENTATION, ("cat", "dog"))
    assert asked != Question("kind", SINGLE, ("dog", "cat"))


def test_a_question_can_be_rebuilt_from_its_json() -> None:
    assert Question("area", SEGMENTATION, ("sky",)).as_json() == {
        "name": "area",
        "kind": Segmentation.name,
        "classes": ["sky"],
    }


def test_predictions_are_values() -> None:
    assert Prediction("cat", 0.5) == Prediction("cat", 0.5) != Prediction("cat", 0.25)
