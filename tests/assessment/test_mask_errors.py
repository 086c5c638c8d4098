import numpy as np
import pytest

from pt4al_backend.assessment.mask_errors import errors_of_masks

CLASSES, SIDE = 3, 12


def masks(n: int) -> np.ndarray:
    """(n, SIDE, SIDE) three stripes whose borders differ between images."""
    borders = np.random.default_rng(0).integers(3, 6, (n, 1, 1))
    column = np.arange(SIDE)[None, None, :].repeat(SIDE, axis=1)
    return (column >= borders).astype(int) + (column >= 2 * borders)


def model(of: np.ndarray, sure: float = 0.9) -> np.ndarray:
    """(n, SIDE, SIDE, classes) probabilities of a model that mostly sees these masks."""
    noise = np.random.default_rng(1).dirichlet(np.ones(CLASSES), size=of.shape)
    return sure * np.eye(CLASSES)[of] + (1 - sure) * noise


def test_masks_with_a_class_for_another_come_first() -> None:
    true = masks(100)
    given = true.copy()
    given[:5][true[:5] == 1] = 2
    found = errors_of_masks(np.eye(CLASSES)[given], model(true))
    assert sorted(found.positions[:5].tolist()) == list(range(5))
    assert (found.given[:5] == 2).all() and (found.instead[:5] == 1).all()
    stripes = np.array([(true[k] == 1).mean() for k in found.positions[:5]])
    assert (found.contradicted[:5] <= stripes).all() and (found.contradicted[:5] > 0.2 * stripes).all()
    assert found.contradicted[5:].max() == 0 and (found.given[5:] == -1).all() and (found.instead[5:] == -1).all()
    assert (np.diff(found.quality) >= 0).all() and found.quality.min() >= 0 and found.quality.max() <= 1


def test_a_small_area_that_is_certainly_wrong_counts_more_than_a_large_doubtful_one() -> None:
    true = masks(20)
    probabilities = model(true)
    probabilities[7] = 0.8 / CLASSES + 0.2 * probabilities[7]
    given = true.copy()
    given[3, :3, 0] = 2
    assert errors_of_masks(np.eye(CLASSES)[given], probabilities).positions[:2].tolist() == [3, 7]


def test_unlabelled_pixels_do_not_count() -> None:
    true = masks(10)
    shares = np.eye(CLASSES)[true]
    before = errors_of_masks(shares, model(true))
    probabilities = model(true)
    shares[:, :4], probabilities[:, :4] = 0, np.eye(CLASSES)[0]
    shares[6] = 0
    found = errors_of_masks(shares, probabilities)
    assert sorted(found.positions.tolist()) == [k for k in range(10) if k != 6]
    assert found.contradicted.max() == 0 and found.quality.min() > before.quality.min() - 0.05


def test_cells_of_two_classes_are_contradicted_by_parts() -> None:
    shares = np.array([[[1.0, 0.0], [0.5, 0.25]], [[0.0, 1.0], [0.0, 0.0]]])
    probabilities = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.5, 0.5]]])
    found = errors_of_masks(shares, probabilities)
    assert found.positions.tolist() == [0, 1]
    assert found.contradicted == pytest.approx([0.5 / 1.75, 0])
    assert (found.given.tolist(), found.instead.tolist()) == ([0, -1], [1, -1])


def test_no_masks_have_no_errors() -> None:
    for n in (0, 2):
        found = errors_of_masks(np.zeros((n, 2, 2, CLASSES)), np.ones((n, 2, 2, CLASSES)))
        assert all(len(each) == 0 for each in vars(found).values())
