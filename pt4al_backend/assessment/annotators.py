"""How the annotators of a project label: how much, how fast, and how often they agree.

Answers are compared as a whole: two multiple choices agree if they choose the same classes. Masks are hardly ever the
same, so segmentations are counted and timed, but not compared: pass None as their answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from pt4al_backend.assessment.estimates import Estimate, wilson

ENOUGH = 20
"""So many tasks labelled by several say something about agreement beyond chance."""


@dataclass(frozen=True)
class Annotation:
    """What somebody answered to one question of a task."""

    annotator: int
    task: int
    answer: Hashable | None
    """A class; a frozenset of classes; None if it is not to be compared."""
    seconds: float | None = None
    """How long it took; None if that is not known."""


@dataclass(frozen=True)
class Annotator:
    """One person's labels."""

    annotator: int
    labels: int
    """Tasks labelled."""
    median_seconds: float | None
    """Median time per label, of those whose time is known."""
    agreement_with_model: Estimate | None
    """The share of their answers that the model gives, too; None if none can be compared."""


@dataclass(frozen=True)
class Pair:
    """Two people who labelled some of the same tasks."""

    annotators: tuple[int, int]
    agreement: Estimate
    """The share of these tasks that they answered alike."""
    kappa: float | None
    """Cohen's kappa: 1 always agree, 0 as often as by chance. None below `ENOUGH` tasks, and where both always give the
    same answer."""


@dataclass(frozen=True)
class Agreement:
    """How often annotators agree among each other."""

    share: Estimate | None
    """The share of tasks labelled by several that all of them answered alike; None if there are none."""
    alpha: float | None
    """Krippendorff's alpha: 1 always agree, 0 as often as by chance. None below `ENOUGH` tasks, and where all answers
    are the same."""
    pairs: tuple[Pair, ...]
    """Those with most tasks in common first."""


def describe_annotators(annotations: Iterable[Annotation], predicted: Mapping[int, Hashable]) -> tuple[Annotator, ...]:
    """Describe each annotator, those with most labels first.

    Args:
        annotations: in the order in which they were given; a person's last answer to a task counts.
        predicted: task -> what a model answers that did not see the task's label. Tasks may be absent.
    """
    of_each: dict[int, list[Annotation]] = defaultdict(list)
    for annotation in _newest(annotations):
        of_each[annotation.annotator].append(annotation)
    return tuple(
        _described(person, given, predicted)
        for person, given in sorted(of_each.items(), key=lambda item: (-len(item[1]), item[0]))
    )


def agreement(annotations: Iterable[Annotation]) -> Agreement:
    """Compare the annotators of tasks that several people labelled.

    Args:
        annotations: in the order in which they were given; a person's last answer to a task counts.
    """
    of_task: dict[int, dict[int, Hashable]] = defaultdict(dict)
    for given in _newest(annotations):
        if given.answer is not None:
            of_task[given.task][given.annotator] = given.answer
    shared = [answers for answers in of_task.values() if len(answers) > 1]
    alike = sum(len(set(answers.values())) == 1 for answers in shared)
    return Agreement(
        wilson(alike, len(shared)) if shared else None,
        krippendorff([tuple(answers.values()) for answers in shared]) if len(shared) >= ENOUGH else None,
        _pairs(shared),
    )


def cohen(answers: Iterable[tuple[Hashable, Hashable]]) -> float | None:
    """Cohen's kappa of two annotators' answers to the same tasks; None if they are all the same.

    Cohen, "A Coefficient of Agreement for Nominal Scales", Educational and Psychological Measurement 20 (1960).
    """
    pairs = list(answers)
    n = len(pairs)
    first, second = (Counter(each) for each in zip(*pairs, strict=True)) if pairs else (Counter(), Counter())
    by_chance = sum(first[answer] * second[answer] for answer in first)
    if by_chance == n * n:
        return None
    return 1 - (n - sum(a == b for a, b in pairs)) * n / (n * n - by_chance)


def krippendorff(answers: Iterable[tuple[Hashable, ...]]) -> float | None:
    """Krippendorff's alpha for nominal answers, any number of them to each task; None if they are all the same.

    Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011). Tasks with one answer do not count.
    """
    totals: Counter[Hashable] = Counter()
    differing = 0.0
    for of_task in answers:
        m, counts = len(of_task), Counter(of_task)
        if m < 2:
            continue
        totals.update(counts)
        differing += (m * m - sum(count**2 for count in counts.values())) / (m - 1)
    n = totals.total()
    by_chance = n * n - sum(count**2 for count in totals.values())
    return 1 - (n - 1) * differing / by_chance if by_chance else None


def _newest(annotations: Iterable[Annotation]) -> Iterable[Annotation]:
    return {(given.annotator, given.task): given for given in annotations}.values()


def _described(person: int, given: list[Annotation], predicted: Mapping[int, Hashable]) -> Annotator:
    seconds = [each.seconds for each in given if each.seconds is not None]
    comparable = [each for each in given if each.answer is not None and each.task in predicted]
    alike = sum(each.answer == predicted[each.task] for each in comparable)
    return Annotator(
        person,
        len(given),
        median(seconds) if seconds else None,
        wilson(alike, len(comparable)) if comparable else None,
    )


def _pairs(shared: list[dict[int, Hashable]]) -> tuple[Pair, ...]:
    of_pair: dict[tuple[int, int], list[tuple[Hashable, Hashable]]] = defaultdict(list)
    for answers in shared:
        for one, other in combinations(sorted(answers), 2):
            of_pair[one, other].append((answers[one], answers[other]))
    found = [
        Pair(pair, wilson(sum(a == b for a, b in both), len(both)), cohen(both) if len(both) >= ENOUGH else None)
        for pair, both in of_pair.items()
    ]
    return tuple(sorted(found, key=lambda pair: (-pair.agreement.n, pair.annotators)))
