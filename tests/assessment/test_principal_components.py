"""Principal components, against those of a singular value decomposition."""

from __future__ import annotations

import numpy as np

from pt4al_backend.assessment.principal_components import PrincipalComponents

X = np.random.default_rng(0).normal(size=(300, 6)) @ np.diag([5, 3, 2, 1, 0.5, 0.1])


def test_directions_and_variances() -> None:
    found = PrincipalComponents.of(X, 3)
    _, values, axes = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    assert np.allclose(found.variances, values[:3] ** 2 / len(X), rtol=1e-3)
    assert np.allclose(np.abs((found.axes * axes[:3].T).sum(axis=0)), 1, atol=1e-3)
    assert np.allclose(found(X).std(axis=0), np.sqrt(found.variances), rtol=1e-3)


def test_the_sign_does_not_depend_on_the_computation() -> None:
    found = PrincipalComponents.of(X, 3)
    largest = np.abs(found.axes).argmax(axis=0)
    assert (found.axes[largest, np.arange(3)] > 0).all()


def test_whitened_vectors_have_length_one() -> None:
    found = PrincipalComponents.of(X.astype(np.float16), 6).whitened(X.astype(np.float16))
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)


def test_fewer_dimensions_than_components() -> None:
    assert PrincipalComponents.of(X[:, :2], 5)(X[:, :2]).shape == (300, 2)
