"""What all controls share, seen in the smallest one there can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from pt4al_backend.label_studio.label_config.config import CONTROLS, LabelConfig
from pt4al_backend.label_studio.label_config.control import Annotation, Context, Control, Result
from pt4al_backend.label_studio.label_config.tags import Tag
from pt4al_backend.labelling.questions import Prediction, Question
from pt4al_backend.labelling.single import SINGLE


@dataclass(frozen=True)
class Counting(Control):
    """Answers how many results an annotation has."""

    question: Question

    def read(self, results: Sequence[Result], context: Context, faults: list[str]) -> Any:
        if not results and not context.may_be_empty(results, faults):
            return None
        return (len(results), context.alone, sorted(context.control_names))

    def answer(self, annotations: Sequence[Annotation], read: Callable[[Annotation], Any]) -> Any:
        return [read(annotation) for annotation in annotations] or None

    def result(
        self, prediction: Prediction, *, image: str, width: int, height: int, least_region: float
    ) -> list[Result]:
        return [{"from_name": self.question.name, "to_name": image}]

    def written(self, answer: Any, *, image: str, width: int, height: int) -> list[Result]:
        return [{"from_name": self.question.name, "to_name": image, "value": answer, "original_width": width}]


ONE, TWO = (Counting(Question(name, SINGLE, ("a", "b"))) for name in ("one", "two"))


def test_a_control_has_the_name_of_its_question_and_stays_by_itself() -> None:
    assert ONE.names == ("one",)
    assert Counting.joined([ONE, TWO]) == [ONE, TWO]


def test_reading_knows_the_rest_of_the_config() -> None:
    annotations = [{"result": [{"from_name": "one"}]}, {"result": []}]
    alone = LabelConfig("image", "image", (ONE,), control_names=frozenset({"one", "box"}))
    assert alone.answers(annotations) == {"one": [(1, True, ["box", "one"]), (0, True, ["box", "one"])]}
    both = LabelConfig("image", "image", (ONE, TWO), control_names=frozenset({"one", "two"}))
    assert both.answers(annotations)["two"] == [(1, False, ["one", "two"]), None]
    assert both.answers([]) == {}


def test_predictions_are_written_for_their_questions() -> None:
    config = LabelConfig("photo", "image", (ONE, TWO))
    assert config.result({"two": Prediction("a", 0.5)}) == [{"from_name": "two", "to_name": "photo"}]


def test_answers_are_written_for_their_questions() -> None:
    config = LabelConfig("photo", "image", (ONE, TWO))
    written = config.results_of({"two": "a", "three": "b"}, width=4, height=2)
    assert written == [{"from_name": "two", "to_name": "photo", "value": "a", "original_width": 4}]
    assert config.results_of({}) == []


@pytest.mark.parametrize("kind", CONTROLS)
def test_every_control_in_the_table_reads_its_tag(kind: str) -> None:
    from xml.etree import ElementTree

    inside = '<Choice value="a"/><Choice value="b"/><Label value="a"/><Label value="b"/>'
    control = CONTROLS[kind].of(Tag.of(ElementTree.fromstring(f'<{kind} name="it" toName="image">{inside}</{kind}>')))
    assert control.question.name == "it" and control.names == ("it",)
    assert control.question.classes == ("a", "b")
