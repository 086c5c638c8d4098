"""Nearest neighbours, against all similarities."""

from __future__ import annotations

import numpy as np

from pt4al_backend.assessment.neighbours import BLOCK, nearest, nearest_among

N = 2 * BLOCK + 7
UNIT = np.random.default_rng(0).normal(size=(N, 5)).astype(np.float32)
UNIT /= np.linalg.norm(UNIT, axis=1, keepdims=True)


def test_the_nearest_others_come_first() -> None:
    found, similarity = nearest(UNIT, 4)
    every = UNIT @ UNIT.T
    np.fill_diagonal(every, -2)
    assert np.allclose(similarity, -np.sort(-every, axis=1)[:, :4], atol=1e-6)
    assert np.allclose(np.take_along_axis(every, found, axis=1), similarity, atol=1e-6)


def test_among_others_an_equal_one_is_the_nearest() -> None:
    found, similarity = nearest_among(UNIT[:10], UNIT, 2)
    assert found[:, 0].tolist() == list(range(10))
    assert np.allclose(similarity[:, 0], 1, atol=1e-6)
