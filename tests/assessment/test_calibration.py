import numpy as np
import pytest

from pt4al_backend.assessment.calibration import BINS, calibration


def test_answers_are_counted_once_and_in_their_bin() -> None:
    confidence = np.array([0.0, 0.1, 0.1 + 1e-9, 0.55, 1.0])
    found = calibration(confidence, np.array([True, False, True, True, True]))
    assert [each.answers for each in found.bins] == [2, 1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert [(each.low, each.high) for each in found.bins] == [(k / 10, (k + 1) / 10) for k in range(BINS)]
    assert found.bins[0].confidence == pytest.approx(0.05) and found.bins[0].accuracy == 0.5
    assert found.bins[2].confidence is None and found.bins[2].accuracy is None
    assert found.error == pytest.approx((2 * 0.45 + 0.9 + 0.45 + 0) / 5)


def test_probabilities_that_come_true_are_calibrated() -> None:
    random = np.random.default_rng(0)
    confidence = random.random(100_000)
    right = random.random(100_000) < confidence
    assert calibration(confidence, right).error < 0.01
    assert calibration(confidence**3, right).error > 0.1


def test_no_answers_are_no_error() -> None:
    assert calibration(np.zeros(0), np.zeros(0, bool)).error == 0
