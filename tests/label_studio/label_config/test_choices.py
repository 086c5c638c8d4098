"""`<Choices>`: what it asks, what its results say, and how votes are counted."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from pt4al_backend.errors import UnsupportedConfigError
from pt4al_backend.label_studio.label_config.choices import CHOICES
from pt4al_backend.label_studio.label_config.class_control import UnusableChoicesError, majorities, majority
from pt4al_backend.label_studio.label_config.tags import Tag
from pt4al_backend.labelling.label_type import LabelType
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.single import SINGLE

KIND = Question("kind", MULTIPLE, ("a", "b", "c"))


def tag(attributes: str = "", inside: str = '<Choice value="a"/><Choice value="b"/>') -> Tag:
    return Tag.of(ElementTree.fromstring(f'<Choices name="kind" toName="image" {attributes}>{inside}</Choices>'))


@pytest.mark.parametrize(
    ("attributes", "inside", "label_type", "classes"),
    [
        ("", '<Choice value="a"/><Choice value="b"/>', SINGLE, ("a", "b")),
        ('choice="multiple"', '<Choice value="a"/><Choice value="b"/>', MULTIPLE, ("a", "b")),
        ("", '<Choice value="a" alias="x"/><Choice value="b"/>', SINGLE, ("x", "b")),
        ("", '<Choice value="a"/>', MULTIPLE, ("a",)),  # a box that is ticked or not
    ],
)
def test_what_it_asks(attributes: str, inside: str, label_type: LabelType, classes: tuple[str, ...]) -> None:
    assert CHOICES.question(tag(attributes, inside)) == Question("kind", label_type, classes)


def test_nested_choices_are_not_learned() -> None:
    with pytest.raises(UnsupportedConfigError, match="allowNested"):
        CHOICES.question(tag('allowNested="true"'))


@pytest.mark.parametrize(
    ("choices", "read"),
    [(["a", "b"], ["a", "b"]), ("a", ["a"]), ([["a"]], ["a"]), ([7, 1.5], ["7", "1.5"]), (None, []), ([], [])],
)
def test_what_its_results_say(choices: object, read: list[str]) -> None:
    assert CHOICES.read({"choices": choices}) == read


@pytest.mark.parametrize("choices", [{"a": 1}, [{"a": 1}], True, [None]])
def test_results_that_hold_something_else(choices: object) -> None:
    with pytest.raises(UnusableChoicesError):
        CHOICES.read({"choices": choices})


@pytest.mark.parametrize(
    ("votes", "winner"), [(["a"], "a"), (["a", "b", "a"], "a"), (["a", "b"], "b"), (["b", "a"], "a"), ([], None)]
)
def test_the_majority_and_then_the_newest(votes: list[str], winner: str | None) -> None:
    assert majority(votes) == winner


@pytest.mark.parametrize(
    ("votes", "winners"),
    [
        ([("a", "b")], ["a", "b"]),
        ([("a", "b"), ("a",), ("a", "c")], ["a"]),
        ([("a",), ("b",)], ["b"]),
        ([("a",), ()], []),
        ([], None),
    ],
)
def test_the_majority_of_each_class(votes: list[tuple[str, ...]], winners: list[str] | None) -> None:
    assert majorities(KIND, votes) == winners
