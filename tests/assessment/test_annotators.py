import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from pt4al_backend.assessment.annotators import (
    ENOUGH,
    Annotation,
    agreement,
    cohen,
    describe_annotators,
    krippendorff,
)

ANNE, BEN, CLEO = 1, 2, 3
ROWS = [
    Annotation(ANNE, 1, "cat", 4.0),
    Annotation(ANNE, 2, "dog", 8.0),
    Annotation(ANNE, 3, "dog", None),
    Annotation(BEN, 1, "dog", 30.0),
    Annotation(ANNE, 4, None, 90.0),
]


def test_each_annotator_is_described() -> None:
    anne, ben = describe_annotators(ROWS, {1: "cat", 2: "cat", 4: "cat", 9: "dog"})
    assert (anne.annotator, anne.labels, anne.median_seconds) == (ANNE, 4, 8.0)
    assert anne.agreement_with_model and (anne.agreement_with_model.value, anne.agreement_with_model.n) == (0.5, 2)
    assert (ben.annotator, ben.labels, ben.median_seconds) == (BEN, 1, 30.0)
    assert ben.agreement_with_model and ben.agreement_with_model.value == 0


def test_what_is_unknown_is_none() -> None:
    (anne,) = describe_annotators([Annotation(ANNE, 1, "cat")], {})
    assert (anne.median_seconds, anne.agreement_with_model) == (None, None)
    nothing = agreement([])
    assert (nothing.share, nothing.alpha, nothing.pairs) == (None, None, ())
    assert describe_annotators([], {}) == ()


def test_the_last_answer_of_a_person_counts() -> None:
    corrected = [*ROWS, Annotation(BEN, 1, "cat", 2.0)]
    ben = describe_annotators(corrected, {1: "cat"})[1]
    assert (ben.labels, ben.median_seconds) == (1, 2.0) and ben.agreement_with_model
    assert ben.agreement_with_model.value == 1
    found = agreement(corrected).share
    assert found and (found.value, found.n) == (1, 1)


def test_sets_of_classes_agree_whatever_their_order() -> None:
    first, second = frozenset(["a", "b"]), frozenset(["b", "a"])
    found = agreement([Annotation(ANNE, 1, first), Annotation(BEN, 1, second)]).share
    assert found and found.value == 1


def test_pairs_with_most_in_common_come_first() -> None:
    rows = [Annotation(who, task, "cat") for who, tasks in ((ANNE, 5), (CLEO, 4), (BEN, 3)) for task in range(tasks)]
    rows[-1] = replace(rows[-1], answer="dog")
    found = agreement(rows)
    assert [pair.annotators for pair in found.pairs] == [(ANNE, CLEO), (ANNE, BEN), (BEN, CLEO)]
    assert [pair.agreement.value for pair in found.pairs] == pytest.approx([1, 2 / 3, 2 / 3])
    assert found.share and (found.share.value, found.share.n) == (0.75, 4)
    assert found.alpha is None and all(pair.kappa is None for pair in found.pairs)  # too few tasks


def test_answers_that_are_not_compared_do_not_disagree() -> None:
    rows = [Annotation(ANNE, 1, None), Annotation(BEN, 1, None), Annotation(CLEO, 1, "cat")]
    assert agreement(rows).share is None


def answered(n: int, copied: float) -> list[tuple[int, int]]:
    random = np.random.default_rng(n)
    first, second = random.choice(3, n, p=[0.6, 0.3, 0.1]), random.choice(3, n, p=[0.6, 0.3, 0.1])
    return [(int(a), int(a if random.random() < copied else b)) for a, b in zip(first, second, strict=True)]


@pytest.mark.parametrize("copied", [0.0, 0.5, 1.0])
def test_cohen_as_scikit_learn_measures_it(copied: float) -> None:
    pairs = answered(100, copied)
    assert cohen(pairs) == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))


def test_krippendorff_of_a_published_example() -> None:
    """Krippendorff (2011), section C: four observers, twelve units, missing data; nominal alpha 0.743."""
    table = (
        "1 2 3 3 2 1 4 1 2 . . .",
        "1 2 3 3 2 2 4 1 2 5 . 3",
        ". 3 3 3 2 3 4 2 2 5 1 .",
        "1 2 3 3 2 4 4 1 2 5 1 .",
    )
    units = zip(*(row.split() for row in table), strict=True)
    answers = [tuple(value for value in unit if value != ".") for unit in units]
    assert krippendorff(answers) == pytest.approx(0.743, abs=5e-4)


@pytest.mark.parametrize("measure", [cohen, krippendorff])
def test_chance_is_zero_and_perfect_is_one(measure) -> None:
    assert measure(answered(5000, 0.0)) == pytest.approx(0, abs=0.05)
    assert measure(answered(100, 1.0)) == 1
    assert measure([("cat", "cat")] * 10) is None and measure([]) is None


def test_where_there_are_enough_chance_is_taken_into_account() -> None:
    pairs = answered(ENOUGH, 0.5)
    rows = [Annotation(who, task, pair[who]) for task, pair in enumerate(pairs) for who in (0, 1)]
    found = agreement(rows)
    assert found.pairs[0].kappa == cohen(pairs) and found.alpha == krippendorff(pairs)
    assert json.loads(json.dumps(asdict(found), allow_nan=False))["pairs"][0]["annotators"] == [0, 1]
