import numpy as np
import pytest

from pt4al_backend.assessment.confident_learning import class_thresholds, confident_classes, confident_joint

LABELS = np.array([0, 0, 0, 1, 1])
PROBABILITIES = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.3, 0.7], [0.4, 0.6]])


def test_an_example_by_hand() -> None:
    """Thresholds are 0.6 and 0.65: the third image is confidently of the other class, the last one of none."""
    found = confident_joint(LABELS, PROBABILITIES)
    assert found.thresholds == pytest.approx([0.6, 0.65])
    assert found.counts.tolist() == [[2, 1], [0, 1]]
    assert found.errors.tolist() == [False, False, True, False, False]


def test_a_class_without_labels_is_never_predicted() -> None:
    found = confident_joint(LABELS, np.column_stack([0.5 * PROBABILITIES, np.full(5, 0.5)]))
    assert found.thresholds[2] == np.inf and not found.counts[:, 2].any()


def test_the_most_likely_class_is_no_error_though_another_passes_its_threshold() -> None:
    probabilities = np.array([[0.99, 0.01], [0.8, 0.2], [0.95, 0.05]])
    found = confident_joint(np.array([0, 0, 1]), probabilities)
    assert found.counts[0, 1] == 1 and found.errors.tolist() == [False, False, True]


def test_shares_are_weights() -> None:
    given = np.array([[0.25, 0.75], [1.0, 0.0]])
    thresholds = class_thresholds(given, np.array([[0.2, 0.8], [0.6, 0.4]]))
    assert thresholds == pytest.approx([(0.25 * 0.2 + 0.6) / 1.25, 0.8])
    assert confident_classes(np.array([[0.5, 0.5], [0.6, 0.4], [0.1, 0.9]]), thresholds).tolist() == [-1, 0, 1]


def test_no_images_have_no_errors() -> None:
    found = confident_joint(np.zeros(0, np.int64), np.zeros((0, 3)))
    assert not found.counts.any() and len(found.errors) == 0 and np.isinf(found.thresholds).all()
