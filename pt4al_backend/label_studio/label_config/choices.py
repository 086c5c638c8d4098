"""`<Choices>` about the whole image: one class, or any number of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pt4al_backend.label_studio.label_config.class_control import ClassControl, UnusableChoicesError
from pt4al_backend.label_studio.label_config.tags import Tag, classes_of
from pt4al_backend.labelling.multiple import MULTIPLE
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.single import SINGLE


def choices_question(tag: Tag) -> Question:
    """The question that a Choices tag asks. One with a single Choice is a box that is ticked or not.

    Raises:
        UnsupportedConfigError: PT4AL cannot learn from the tag.
    """
    if tag.attributes.get("allownested", "").strip().lower() == "true":
        raise tag.not_learned(tag.another("with allowNested Label Studio shows no predictions", "without that"))
    classes = classes_of(tag, "choice")
    several = tag.attributes.get("choice", "single").strip().lower() == "multiple"
    return Question(tag.name, MULTIPLE if several or len(classes) == 1 else SINGLE, classes)


def _read(value: Mapping[str, Any]) -> list[str]:
    """The classes in a result. Label Studio writes a list; importers also write a single class without one."""
    choices = value.get("choices")
    if choices is None:
        return []
    return [_class(choice) for choice in (choices if isinstance(choices, list) else [choices])]


def _class(choice: Any) -> str:
    """A choice as a string. With `allowNested` Label Studio stored a path, here one of a single step."""
    if isinstance(choice, list) and len(choice) == 1:
        choice = choice[0]
    if isinstance(choice, list):
        return str(choice)  # a path of several steps is not a class
    if isinstance(choice, bool) or not isinstance(choice, (str, int, float)):
        raise UnusableChoicesError
    return str(choice)


CHOICES = ClassControl("choices", choices_question, _read, lambda classes: {"choices": list(classes)})
