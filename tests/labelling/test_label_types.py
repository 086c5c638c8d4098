"""The table of label types: its entries are complete, and other code asks for properties, not for names."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.question_rig import QuestionRig

import pt4al_backend
from pt4al_backend.datasets.export_file import REPLAYED
from pt4al_backend.labelling.label_type import Drawings, Floats, LabelType, Measure
from pt4al_backend.labelling.label_types import LABEL_TYPES, questions_of
from pt4al_backend.labelling.questions import Answers, Question
from pt4al_backend.learning.output_types import OUTPUT_TYPES
from pt4al_backend.sampling.uncertainty import entropy
from pt4al_backend.settings import METHODS, Settings

TYPES = pytest.mark.parametrize("label_type", LABEL_TYPES.values(), ids=lambda label_type: label_type.name)
PACKAGE = Path(pt4al_backend.__file__).parent
OF_ONE_TYPE = {
    "labelling/single.py",
    "labelling/multiple.py",
    "labelling/segmentation.py",
    "label_studio/label_config/choices.py",
    "label_studio/label_config/regions.py",
    "datasets/known_images.py",
    "datasets/export_file.py",
}
TABLES = {"labelling/label_types.py", "learning/output_types.py"}
NAMED = {"learning/types.py", "learning/pretext.py", "learning/rotation_head.py", "demo/random_annotator.py"}
"""The pretext task and the demo's question are single choices."""


@TYPES
def test_an_entry_is_complete(label_type: LabelType) -> None:
    assert LABEL_TYPES[label_type.name] is label_type
    assert label_type.title
    assert OUTPUT_TYPES[label_type.name].dense == label_type.dense
    assert (label_type.name in REPLAYED) == bool(label_type.metric) == bool(label_type.metric_title)


@TYPES
def test_logits_have_an_uncertainty_and_errors_for_each_image(label_type: LabelType) -> None:
    shape = (4, 3, 3, 2) if label_type.dense else (4, 2)
    logits = np.random.default_rng(0).normal(size=shape)
    sure = 30 * np.ones(shape) * np.array([1, -1])
    unsure = np.zeros(shape)
    assert label_type.uncertainty(logits, entropy).shape == (4,)
    assert (label_type.uncertainty(sure, entropy) < label_type.uncertainty(unsure, entropy)).all()
    assert label_type.errors(logits).shape == (4, 2)
    short, long = ((label_type.errors(each) ** 2).sum(axis=1) for each in (sure, unsure))
    assert (short < 1e-4).all() and (long > 0.4).all() and (long <= 1 + 1e-9).all()


@TYPES
def test_a_stored_prediction_stands_for_an_answer(label_type: LabelType) -> None:
    question = Question("q", label_type, ("a", "b"))
    logits = np.array([[3.0, -2.0], [-4.0, 1.0]])
    stored = label_type.unpredicted(2, 2)
    predicted = None if label_type.dense else label_type.predicted(logits)
    assert (predicted is None) == (not len(stored))
    if predicted is not None:
        probability, stored[:] = predicted
        assert ((probability > 0.5) & (probability < 1)).all()
        answers = [label_type.value(question, each) for each in stored]
        assert answers in (["a", "b"], [("a",), ("b",)])


@TYPES
def test_questions_are_stored_by_the_types_name(label_type: LabelType) -> None:
    question = Question("q", label_type, ("a", "b"))
    assert question.as_json() == {"name": "q", "kind": label_type.name, "classes": ["a", "b"]}
    assert questions_of([question.as_json()]) == (question,)


@TYPES
def test_the_usual_uncertainty_overrides_the_presets(label_type: LabelType) -> None:
    for preset, method in METHODS.items():
        assert Settings(preset=preset).measure(label_type) == (label_type.usual_uncertainty or method.uncertainty)
        assert Settings(preset=preset, uncertainty="margin").measure(label_type) == "margin"


class Grade(LabelType):
    """An invented type: one of several ordered classes. An answer is a number."""

    name = "grade"
    title = "grading"

    def targets(self, question: Question, answers: list[Answers], drawings: Drawings) -> NDArray[np.int64]:
        return np.array([answer.get(question.name, -1) for answer in answers], dtype=np.int64)

    def uncertainty(self, logits: Floats, measure: Measure) -> NDArray[np.float64]:
        return measure(logits)

    def errors(self, logits: Floats) -> NDArray[np.float64]:
        return LABEL_TYPES["single"].errors(logits)

    def unpredicted(self, images: int, classes: int) -> NDArray[np.uint8]:
        return np.zeros(images, np.uint8)

    def predicted(self, logits: Floats) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
        return np.full(len(logits), 0.75), logits.argmax(axis=1)

    def value(self, question: Question, stored: NDArray[np.integer]) -> int:
        return int(stored)


def test_a_new_type_is_a_file_and_a_line_in_each_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From answers to a trained network and a published queue, no other code has to know it."""
    monkeypatch.setitem(LABEL_TYPES, "grade", Grade())
    monkeypatch.setitem(OUTPUT_TYPES, "grade", replace(OUTPUT_TYPES["single"]))
    question = Question("size", LABEL_TYPES["grade"], ("small", "middling", "large"))
    rig = QuestionRig(tmp_path, question, n=24)
    try:
        rig.settle()
        for task in range(1, 10):
            rig.platform.answer(task, size=task % 3)
        rig.train()
        assert [output["kind"] for output in rig.spec()["outputs"]] == ["grade"]
        assert rig.project.main_labels == 9
        assert rig.picks
        assert {
            (pick.predictions["size"].value in range(3), pick.predictions["size"].probability)
            for pick in rig.picks.values()
        } == {(True, 0.75)}
        (view,) = rig.predictions().per_question
        assert view.question == question and np.isfinite(view.uncertainty).all()
    finally:
        rig.close()


def test_only_the_files_and_tables_of_the_types_name_them() -> None:
    naming = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\b(SINGLE|MULTIPLE|SEGMENTATION)\b", path.read_text())
    }
    assert naming == OF_ONE_TYPE | TABLES | NAMED


def test_nobody_compares_a_types_name() -> None:
    comparing = re.compile(r"label_type\.name\s*[=!]=|output\.kind\s*[=!]=|[\"']kind[\"']\]\s*[=!]=")
    assert [str(path) for path in PACKAGE.rglob("*.py") if comparing.search(path.read_text())] == []
