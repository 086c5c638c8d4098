"""A control of a label config whose answers are classes of the whole image.

A new one is a file that makes a `ClassControl`, as `choices.py` does, and a line in `config.LEARNT`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pt4al_backend.label_studio.label_config.tags import Tag
from pt4al_backend.labelling.questions import Prediction, Question
from pt4al_backend.labelling.single import SingleChoice

Result = dict[str, Any]
"""One entry of the `result` of an annotation or a prediction."""


class UnusableChoicesError(Exception):
    """What one annotation chose cannot be read."""


@dataclass(frozen=True)
class ClassControl:
    """How a kind of control asks for classes, and how results hold them."""

    kind: str
    """Its tag in lower case, which is also the `type` of its results."""
    question: Callable[[Tag], Question]
    """The question that a tag asks. Raises `UnsupportedConfigError` where it cannot be learnt."""
    read: Callable[[Mapping[str, Any]], Sequence[str]]
    """The classes in the `value` of a result. Raises `UnusableChoicesError` where it holds something else."""
    write: Callable[[Sequence[str]], dict[str, Any]]
    """The `value` of a result with these classes, one at least."""

    def chosen(self, question: Question, results: Sequence[Result]) -> tuple[str, ...] | None:
        """The classes that one annotation chose, in the config's order; None if all it chose are gone from there.

        Raises:
            UnusableChoicesError: what it chose cannot be read.
        """
        given: set[str] = set()
        for result in results:
            if result.get("from_name") == question.name and result.get("type") == self.kind:
                value = result.get("value")
                if not isinstance(value, dict):
                    raise UnusableChoicesError
                given.update(self.read(value))
        known = tuple(name for name in question.classes if name in given)
        return known if known or not given else None

    def results(self, question: Question, prediction: Prediction, *, image: str) -> list[Result]:
        """A prediction as Label Studio's results; classes that are gone from the config are left out."""
        value = prediction.value
        values = value if isinstance(value, (tuple, list)) else (value,)
        known = [name for name in question.classes if any(isinstance(each, str) and each == name for each in values)]
        if not known or (isinstance(question.label_type, SingleChoice) and len(known) > 1):
            return []
        return [
            {
                "from_name": question.name,
                "to_name": image,
                "type": self.kind,
                "value": self.write(known),
                "score": float(prediction.probability),
            }
        ]
