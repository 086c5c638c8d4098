"""Controls whose answers are classes of the whole image.

A new one needs a file that makes a `ClassControl`, as `choices.py` does, and a line in `config.CONTROLS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pt4al_backend.label_studio.label_config.control import Annotation, Context, Control, Result
from pt4al_backend.label_studio.label_config.tags import Tag, shown_text
from pt4al_backend.labelling.questions import Prediction, Question
from pt4al_backend.labelling.single import SingleChoice


class UnusableChoicesError(Exception):
    """The choices of an annotation cannot be read."""


@dataclass(frozen=True)
class ClassControl:
    """How a kind of control asks for classes, and how results contain them."""

    kind: str
    """Its tag in lower case, which is also the `type` of its results."""
    question: Callable[[Tag], Question]
    """The question that a tag asks. Raises `UnsupportedConfigError` if PT4AL cannot learn from it."""
    read: Callable[[Mapping[str, Any]], Sequence[str]]
    """The classes in the `value` of a result. Raises `UnusableChoicesError` if it contains something else."""
    write: Callable[[Sequence[str]], dict[str, Any]]
    """The `value` of a result with these classes, at least one."""

    def of(self, tag: Tag) -> ClassQuestion:
        """The control that a tag is. Raises `UnsupportedConfigError` if PT4AL cannot learn from it."""
        return ClassQuestion(self.question(tag), self)

    def chosen(self, question: Question, results: Sequence[Result]) -> tuple[str, ...] | None:
        """The classes that one annotation chose, in the config's order; None if the config no longer has any of them.

        Raises:
            UnusableChoicesError: the choices cannot be read.
        """
        names: set[str] = set()
        for result in results:
            if result.get("from_name") == question.name and result.get("type") == self.kind:
                value = result.get("value")
                if not isinstance(value, dict):
                    raise UnusableChoicesError
                names.update(self.read(value))
        known = tuple(name for name in question.classes if name in names)
        return known if known or not names else None

    def results(self, question: Question, value: Any, *, image: str) -> list[Result]:
        """A class, or several, as results; classes that the config no longer has are left out."""
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
            }
        ]


@dataclass(frozen=True)
class ClassQuestion(Control):
    """A control that asks a question as its `ClassControl` says."""

    question: Question
    control: ClassControl

    def read(self, results: Sequence[Result], context: Context, faults: list[str]) -> tuple[str, ...] | None:
        """The classes that one annotation chose."""
        question = self.question
        try:
            vote = self.control.chosen(question, results)
        except UnusableChoicesError:
            faults.append(
                f'What an annotation chose for "{shown_text(question.name)}" is left out: it is not a list of texts.'
            )
            return None
        if isinstance(question.label_type, SingleChoice):
            return vote if vote is not None and len(vote) == 1 else None
        is_box = context.alone and len(question.classes) == 1  # unticked means no, whatever other results there are
        return None if vote == () and not is_box and not context.may_be_empty(results, faults) else vote

    def answer(self, annotations: Sequence[Annotation], read: Callable[[Annotation], Any]) -> Any:
        """The majority's answer; only ground truths vote if any of them answers."""
        all_votes = [(annotation.is_truth, read(annotation)) for annotation in annotations]
        votes = [(is_truth, vote) for is_truth, vote in all_votes if vote is not None]
        counting = [vote for is_truth, vote in votes if is_truth] or [vote for _, vote in votes]
        if isinstance(self.question.label_type, SingleChoice):
            return majority([vote[0] for vote in counting])
        return majorities(self.question, counting)

    def result(
        self, prediction: Prediction, *, image: str, width: int, height: int, least_region: float
    ) -> list[Result]:
        results = self.control.results(self.question, prediction.value, image=image)
        return [result | {"score": float(prediction.probability)} for result in results]

    def written(self, answer: Any, *, image: str, width: int, height: int) -> list[Result]:
        return self.control.results(self.question, answer, image=image)


def majority(votes: Sequence[str]) -> str | None:
    """The most frequent class, the newest among those that tie; `votes` are sorted, oldest first."""
    counts = Counter(votes)
    return next((vote for vote in reversed(votes) if counts[vote] == max(counts.values())), None)


def majorities(question: Question, votes: Sequence[tuple[str, ...]]) -> list[str] | None:
    """The classes that more than half of the votes contain, or half including the newest, which is the last."""
    if not votes:
        return None
    counts = Counter(name for vote in votes for name in vote)
    return [name for name in question.classes if 2 * counts[name] + (name in votes[-1]) > len(votes)]
