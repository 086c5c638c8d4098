"""A control of a label config whose answers are classes of the whole image.

A new one is a file that makes a `ClassControl`, as `choices.py` does, and a line in `config.LEARNT`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pt4al_backend.label_studio.label_config.control import Annotation, Asked, Control, Result
from pt4al_backend.label_studio.label_config.tags import Tag, shown_text
from pt4al_backend.labelling.questions import Prediction, Question
from pt4al_backend.labelling.single import SingleChoice


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

    def of(self, tag: Tag) -> ClassQuestion:
        """What a tag asks. Raises `UnsupportedConfigError`."""
        return ClassQuestion(self.question(tag), self)

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


@dataclass(frozen=True)
class ClassQuestion(Control):
    """A question that is asked with a `ClassControl`."""

    question: Question
    control: ClassControl

    def read(self, results: Sequence[Result], asked: Asked, faults: list[str]) -> tuple[str, ...] | None:
        """The classes that one annotation chose."""
        question = self.question
        try:
            vote = self.control.chosen(question, results)
        except UnusableChoicesError:
            faults.append(
                f'What an annotation chose of "{shown_text(question.name)}" is left out: it is not a list of texts.'
            )
            return None
        if isinstance(question.label_type, SingleChoice):
            return vote if vote is not None and len(vote) == 1 else None
        is_box = asked.alone and len(question.classes) == 1  # not ticked is no, whatever else was answered
        return None if vote == () and not is_box and not asked.may_be_empty(results, faults) else vote

    def answer(self, annotations: Sequence[Annotation], read: Callable[[Annotation], Any]) -> Any:
        """What most answer, of the ground truths where some of these do."""
        given = [(annotation.is_truth, read(annotation)) for annotation in annotations]
        votes = [(is_truth, vote) for is_truth, vote in given if vote is not None]
        counting = [vote for is_truth, vote in votes if is_truth] or [vote for _, vote in votes]
        if isinstance(self.question.label_type, SingleChoice):
            return majority([vote[0] for vote in counting])
        return majorities(self.question, counting)

    def result(
        self, prediction: Prediction, *, image: str, width: int, height: int, least_region: float
    ) -> list[Result]:
        return self.control.results(self.question, prediction, image=image)


def majority(votes: Sequence[str]) -> str | None:
    """The class that most chose, the newest of those that tie; `votes` are sorted by age, the oldest first."""
    counts = Counter(votes)
    return next((vote for vote in reversed(votes) if counts[vote] == max(counts.values())), None)


def majorities(question: Question, votes: Sequence[tuple[str, ...]]) -> list[str] | None:
    """The classes that more than half chose, or half with the newest vote, which is the last."""
    if not votes:
        return None
    counts = Counter(name for vote in votes for name in vote)
    return [name for name in question.classes if 2 * counts[name] + (name in votes[-1]) > len(votes)]
