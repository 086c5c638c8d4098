import numpy as np
import pytest

from pt4al_backend.sampling.directions import DIMENSIONS, Directions

WIDTHS = pytest.mark.parametrize("width", [8, DIMENSIONS + 50])


def embeddings(n: int, width: int, *, seed: int = 0) -> np.ndarray:
    """Embeddings that lie near a space of five dimensions, on axes of very different scale."""
    random = np.random.default_rng(seed)
    axes = np.random.default_rng(99).normal(size=(5, width))
    return (random.normal(size=(n, 5)) @ axes + 0.01 * random.normal(size=(n, width))) * np.geomspace(
        0.1, 100, width
    ) + 7


@WIDTHS
def test_directions_are_unit_vectors(width: int) -> None:
    these = embeddings(300, width)
    unit = Directions.of(these)(these)
    assert unit.dtype == np.float32 and unit.shape == (300, min(width, DIMENSIONS))
    assert np.linalg.norm(unit, axis=1) == pytest.approx(1)


@WIDTHS
def test_they_are_those_of_standardised_embeddings(width: int) -> None:
    these = embeddings(300, width)
    standardised = (these - these.mean(axis=0)) / these.std(axis=0)
    standardised /= np.linalg.norm(standardised, axis=1, keepdims=True)
    unit = Directions.of(these)(these)
    np.testing.assert_allclose(unit @ unit.T, standardised @ standardised.T, atol=0.01)


@WIDTHS
def test_other_embeddings_have_directions_too(width: int) -> None:
    these, others = embeddings(300, width), embeddings(40, width, seed=1)
    both = Directions.of(these)(np.concatenate([these, others]))
    np.testing.assert_allclose(both[300:], Directions.of(these)(others), atol=1e-5)


@WIDTHS
@pytest.mark.parametrize("n", [1, 2])
def test_one_embedding_has_no_direction_and_two_have_opposite_ones(width: int, n: int) -> None:
    these = embeddings(n, width)
    unit = Directions.of(these)(these)
    assert np.isfinite(unit).all()
    assert (unit @ unit.T)[0, -1] == pytest.approx(0 if n == 1 else -1, abs=1e-4)


@WIDTHS
def test_none(width: int) -> None:
    assert Directions.of(embeddings(5, width))(np.empty((0, width))).shape == (0, min(width, DIMENSIONS))
