import json
from dataclasses import asdict

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, precision_recall_fscore_support

from pt4al_backend.assessment.quality import multiple_quality, single_quality

CLASSES = 4


def labelled(n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities that are right more often than not."""
    random = np.random.default_rng(0)
    labels = random.choice(CLASSES, n, p=[0.7, 0.1, 0.1, 0.1])
    return labels, random.dirichlet(np.ones(CLASSES), size=n) * 0.6 + 0.4 * np.eye(CLASSES)[labels]


def test_single_choice_as_scikit_learn_measures_it() -> None:
    labels, p = labelled()
    found = single_quality(labels, p)
    assert found
    predicted = p.argmax(axis=1)
    precision, recall, f1, counts = precision_recall_fscore_support(labels, predicted)
    assert found.accuracy.value == (predicted == labels).mean() and found.accuracy.n == len(labels)
    assert found.accuracy.low < found.accuracy.value < found.accuracy.high
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert np.array_equal(found.confusion, confusion_matrix(labels, predicted))
    assert [each.labels for each in found.classes] == counts.tolist()
    assert [each.predicted for each in found.classes] == np.bincount(predicted, minlength=CLASSES).tolist()
    assert [each.precision for each in found.classes] == pytest.approx(precision.tolist())
    assert [each.recall for each in found.classes] == pytest.approx(recall.tolist())
    assert [each.f1 for each in found.classes] == pytest.approx(f1.tolist())
    assert sum(each.answers for each in found.calibration.bins) == len(labels)


def test_several_classes_as_scikit_learn_measures_them() -> None:
    random = np.random.default_rng(1)
    labels = (random.random((200, CLASSES)) < 0.3).astype(np.int8)
    p = 0.5 * random.random(labels.shape) + 0.4 * labels
    found = multiple_quality(labels, p)
    assert found
    precision, recall, f1, counts = precision_recall_fscore_support(labels, p > 0.5)
    assert [each.labels for each in found.classes] == counts.tolist()
    assert [each.precision for each in found.classes] == pytest.approx(precision.tolist())
    assert [each.recall for each in found.classes] == pytest.approx(recall.tolist())
    assert [each.f1 for each in found.classes] == pytest.approx(f1.tolist())
    assert found.macro_f1 == pytest.approx(f1.mean())
    assert found.answers_right == ((p > 0.5) == labels).mean()
    assert found.images_right.value == ((p > 0.5) == labels).all(axis=1).mean() and found.images_right.n == 200
    assert sum(each.answers for each in found.calibration.bins) == labels.size


def test_what_is_unknown_is_left_out() -> None:
    labels, p = labelled(50)
    more, padded = np.append(labels, [-1, 2]), np.concatenate([p, [[1, 0, 0, 0], [np.nan] * CLASSES]])
    assert single_quality(more, padded) == single_quality(labels, p)
    several = np.eye(CLASSES, dtype=np.int8)[more]
    several[50] = -1
    assert multiple_quality(several, padded) == multiple_quality(np.eye(CLASSES, dtype=np.int8)[labels], p)


def test_nothing_known_is_nothing_said() -> None:
    assert single_quality(np.full(3, -1), np.ones((3, 2))) is None
    assert single_quality(np.zeros(3, int), np.full((3, 2), np.nan)) is None
    assert multiple_quality(np.zeros((0, 2), int), np.ones((0, 2))) is None
    assert multiple_quality(np.zeros((2, 0), int), np.ones((2, 0))) is None


def test_classes_without_labels_have_no_recall_and_do_not_count() -> None:
    found = single_quality(np.array([0, 0]), np.array([[0.6, 0.4, 0.0], [0.4, 0.6, 0.0]]))
    assert found and found.balanced_accuracy == 0.5
    assert [(each.precision, each.recall, each.f1) for each in found.classes] == [
        (1.0, 0.5, pytest.approx(2 / 3)),
        (0.0, None, 0.0),
        (None, None, None),
    ]
    several = multiple_quality(np.array([[1, 0]]), np.array([[0.9, 0.8]]))
    assert several and several.macro_f1 == 1 and several.answers_right == 0.5
    absent = multiple_quality(np.array([[0, 0]]), np.array([[0.1, 0.1]]))
    assert absent and absent.macro_f1 is None and absent.images_right.value == 1


def test_results_are_json() -> None:
    labels, p = labelled(7)
    for found in (single_quality(labels, p), multiple_quality(np.eye(CLASSES, dtype=np.int8)[labels], p)):
        assert found
        assert json.loads(json.dumps(asdict(found), allow_nan=False))["classes"][0]["labels"] == (labels == 0).sum()
