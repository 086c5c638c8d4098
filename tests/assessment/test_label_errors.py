import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pt4al_backend.assessment import label_errors
from pt4al_backend.assessment.label_errors import (
    NEIGHBOURS,
    LabelErrors,
    errors_of_any_classes,
    errors_of_one_class,
    neighbour_shares,
)

CLASSES = 5


def images(n: int, *, spread: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings around one centre for each class, and the classes."""
    random = np.random.default_rng(n)
    classes = random.integers(0, CLASSES, n)
    return np.eye(CLASSES, 20)[classes] + spread * random.normal(size=(n, 20)) / 3, classes


def flipped(classes: np.ndarray, share: float = 0.05) -> tuple[np.ndarray, np.ndarray]:
    """The labels when a share of them is another class, and which these are."""
    random = np.random.default_rng(1)
    wrong = random.permutation(len(classes))[: round(share * len(classes))]
    labels = classes.copy()
    labels[wrong] = (classes[wrong] + random.integers(1, CLASSES, len(wrong))) % CLASSES
    return labels, wrong


def unsure(classes: np.ndarray, sharpness: float = 1.0) -> np.ndarray:
    """(n, classes) probabilities of a model that is right about most images."""
    logits = sharpness * (2 * np.eye(CLASSES)[classes] + np.random.default_rng(2).gumbel(size=(len(classes), CLASSES)))
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def found_first(errors: LabelErrors, wrong: np.ndarray, shown: float = 0.1) -> float:
    """The share of the wrong labels that are among the first shown."""
    return float(np.isin(wrong, errors.positions[: round(shown * len(errors.positions))]).mean())


def test_flipped_labels_come_first() -> None:
    embeddings, classes = images(1000)
    labels, wrong = flipped(classes)
    found = errors_of_one_class(labels, unsure(classes, 2.0), embeddings)
    assert found_first(found, wrong) > 0.9
    assert sorted(found.positions.tolist()) == list(range(1000))
    assert (np.diff(found.quality) >= 0).all() and found.quality.min() >= 0 and found.quality.max() <= 1
    is_wrong = np.isin(found.positions, wrong)
    assert (found.instead == classes[found.positions])[is_wrong].mean() > 0.9
    assert is_wrong[found.errors].mean() > 0.5 and found.errors[is_wrong].mean() > 0.5


def test_model_and_neighbours_find_more_than_the_model_alone() -> None:
    embeddings, classes = images(2000)
    labels, wrong = flipped(classes)
    probabilities = unsure(classes)
    alone, both = errors_of_one_class(labels, probabilities), errors_of_one_class(labels, probabilities, embeddings)
    assert found_first(both, wrong) > found_first(alone, wrong) + 0.1


def test_below_one_half_another_class_is_more_likely() -> None:
    probabilities = np.array([[0.6, 0.3, 0.1], [0.2, 0.4, 0.4], [0.5, 0.5, 0.0], [0.0, 1.0, 0.0]])
    found = errors_of_one_class(np.array([0, 0, 0, 0]), probabilities)
    assert found.positions.tolist() == [3, 1, 2, 0]
    assert found.quality == pytest.approx([0.1 / 1.2, 0.3 / 0.8, 0.5, 0.7 / 1.1])
    assert found.instead.tolist() == [1, 1, 1, 1]
    assert found.probability == pytest.approx([1, 0.4, 0.5, 0.3])
    assert (found.errors <= (found.quality < 0.5)).all()


def test_what_cannot_be_judged_is_left_out() -> None:
    probabilities = np.array([[0.1, 0.9], [np.nan, np.nan], [0.8, 0.2], [0.7, 0.3]])
    found = errors_of_one_class(np.array([0, 1, -1, 0]), probabilities, np.eye(4))
    assert found.positions.tolist() == [0, 3]
    several = errors_of_any_classes(np.array([[1, 0], [1, 0], [-1, -1], [1, 0]]), probabilities, np.eye(4))
    assert sorted(several.positions.tolist()) == [0, 3]


@pytest.mark.parametrize(("n", "classes"), [(0, 3), (3, 1), (0, 0)])
def test_where_nothing_can_be_wrong_nothing_is_shown(n: int, classes: int) -> None:
    found = errors_of_one_class(np.zeros(n, np.int64), np.ones((n, classes)), np.ones((n, 2)))
    assert all(len(each) == 0 for each in vars(found).values())
    assert len(errors_of_any_classes(np.zeros((n, 0), np.int64), np.ones((n, 0))).positions) == 0


@given(n=st.integers(1, 30), classes=st.integers(2, 6), seed=st.integers(0, 9), same=st.booleans())
def test_any_labels_are_judged(n: int, classes: int, seed: int, same: bool) -> None:
    random = np.random.default_rng(seed)
    embeddings = np.ones((n, 3)) if same else random.normal(size=(n, 3)).astype(np.float16)
    p = random.dirichlet(np.full(classes, 0.1), size=n)
    for found in (
        errors_of_one_class(random.integers(0, classes, n), p, embeddings),
        errors_of_any_classes(random.integers(0, 2, (n, classes)), random.random((n, classes)).round(), embeddings),
    ):
        assert sorted(found.positions.tolist()) == list(range(n))
        assert ((found.quality >= 0) & (found.quality <= 1) & (found.probability >= 0)).all()
        assert ((found.instead >= 0) & (found.instead < classes)).all()


# Several classes


def test_the_most_doubtful_answer_decides() -> None:
    labels = np.array([[1, 0, 0], [1, 1, 0]])
    found = errors_of_any_classes(labels, np.array([[0.9, 0.2, 0.8], [0.9, 0.3, 0.1]]))
    assert found.positions.tolist() == [0, 1]
    assert found.quality == pytest.approx([0.3 / 1.2, 0.4 / 1.2]) and found.probability == pytest.approx([0.8, 0.7])
    assert found.instead.tolist() == [2, 1]  # to add, and to remove


def test_changed_answers_come_first() -> None:
    embeddings, classes = images(1000)
    labels = np.eye(CLASSES, dtype=np.int8)[classes] | np.eye(CLASSES, dtype=np.int8)[(classes + 1) % CLASSES]
    wrong, answers = np.random.default_rng(3).permutation(1000)[:50], labels.copy()
    changed = np.random.default_rng(4).integers(0, CLASSES, 50)
    answers[wrong, changed] ^= 1
    found = errors_of_any_classes(answers, np.where(labels == 1, 0.8, 0.2), embeddings)
    assert found_first(found, wrong) > 0.9
    first = dict(zip(found.positions.tolist(), found.instead.tolist(), strict=True))
    assert np.mean([first[image] == change for image, change in zip(wrong, changed, strict=True)]) > 0.9


# Neighbours


def test_nobody_is_a_neighbour_of_itself() -> None:
    embeddings = np.repeat(np.eye(3), NEIGHBOURS + 1, axis=0)
    answers = np.repeat(np.eye(3), NEIGHBOURS + 1, axis=0)
    answers[0] = [0, 1, 0]
    shares = neighbour_shares(answers, embeddings)
    assert shares[0].tolist() == pytest.approx([1, 0, 0])
    assert shares[1] == pytest.approx([0.9, 0.1, 0])


def test_parts_of_many_images_see_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings, classes = images(101)
    whole = neighbour_shares(np.eye(CLASSES)[classes], embeddings)
    monkeypatch.setattr(label_errors, "_AT_ONCE", 10)
    np.testing.assert_allclose(neighbour_shares(np.eye(CLASSES)[classes], embeddings), whole, atol=1e-6)
    np.testing.assert_allclose(whole.sum(axis=1), 1)


def test_the_length_and_the_centre_of_embeddings_do_not_matter() -> None:
    embeddings, classes = images(60)
    shares = neighbour_shares(np.eye(CLASSES)[classes], embeddings)
    np.testing.assert_allclose(neighbour_shares(np.eye(CLASSES)[classes], 7 * embeddings + 3), shares, atol=1e-4)
