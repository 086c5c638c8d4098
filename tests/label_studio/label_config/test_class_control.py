"""A control whose answers are classes, other than Choices: its results are read and written in its own form."""

from __future__ import annotations

import pytest

from pt4al_backend.label_studio.label_config import config
from pt4al_backend.label_studio.label_config.class_control import ClassControl, UnusableChoicesError
from pt4al_backend.label_studio.label_config.config import LabelConfig, parse_config
from pt4al_backend.label_studio.label_config.tags import Tag
from pt4al_backend.labelling.questions import Prediction, Question
from pt4al_backend.labelling.single import SINGLE

CONFIG = """<View>
  <Image name="image" value="$image"/>
  <Rating name="quality" toName="image" maxRating="3"/>
  <Choices name="kind" toName="image"><Choice value="a"/><Choice value="b"/></Choices>
</View>"""


def question(tag: Tag) -> Question:
    most = int(tag.attributes.get("maxrating", "5"))
    return Question(tag.name, SINGLE, tuple(str(stars) for stars in range(1, most + 1)))


def read(value) -> list[str]:
    if not isinstance(value.get("rating"), int):
        raise UnusableChoicesError
    return [str(value["rating"])]


RATING = ClassControl("rating", question, read, lambda classes: {"rating": int(classes[0])})


def rated(value: object) -> dict[str, object]:
    return {"from_name": "quality", "to_name": "image", "type": "rating", "value": value}


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> LabelConfig:
    monkeypatch.setitem(config.CONTROLS, RATING.kind, RATING)
    return parse_config(CONFIG)


def test_its_question_is_asked(parsed: LabelConfig) -> None:
    assert [(each.name, each.classes) for each in parsed.questions] == [
        ("quality", ("1", "2", "3")),
        ("kind", ("a", "b")),
    ]
    assert parsed.ignored == ()


def test_its_results_are_read(parsed: LabelConfig) -> None:
    chosen = {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["b"]}}
    assert parsed.answers([{"result": [rated({"rating": 2}), chosen]}]) == {"quality": "2", "kind": "b"}


@pytest.mark.parametrize("value", [{"rating": "much"}, {}, None, "2"])
def test_what_cannot_be_read_is_left_out_with_a_sentence(parsed: LabelConfig, value: object) -> None:
    faults: list[str] = []
    assert parsed.answers([{"result": [rated(value)]}], faults) == {}
    assert len(faults) == 1 and '"quality"' in faults[0]


def test_results_of_other_controls_are_not_its_own(parsed: LabelConfig) -> None:
    assert parsed.answers([{"result": [rated({"rating": 2}) | {"type": "number"}]}]) == {}


def test_its_predictions_are_written(parsed: LabelConfig) -> None:
    predictions = {"quality": Prediction("3", 0.5), "kind": Prediction("a", 0.75)}
    assert parsed.result(predictions) == [
        rated({"rating": 3}) | {"score": 0.5},
        {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["a"]}, "score": 0.75},
    ]


def test_its_answers_are_written(parsed: LabelConfig) -> None:
    answers = {"quality": "3", "kind": "a"}
    assert parsed.results_of(answers) == [
        rated({"rating": 3}),
        {"from_name": "kind", "to_name": "image", "type": "choices", "value": {"choices": ["a"]}},
    ]
    assert parsed.answers([{"result": parsed.results_of(answers)}]) == answers
    assert parsed.results_of({"quality": "9"}) == []


def test_a_class_that_is_gone_is_not_written(parsed: LabelConfig) -> None:
    assert parsed.result({"quality": Prediction("9", 0.5)}) == []
