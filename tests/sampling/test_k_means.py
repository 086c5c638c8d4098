import numpy as np
import pytest

from pt4al_backend.sampling.k_means import nearest_to_centres


def clusters(*sizes: int) -> tuple[np.ndarray, np.ndarray]:
    """Points around far centres on a line, and the cluster of each."""
    of = np.repeat(range(len(sizes)), sizes)
    points = np.random.default_rng(0).normal(size=(len(of), 3))
    points[:, 0] += 100 * of
    return points, of


def test_one_point_of_each_cluster_that_of_the_largest_first() -> None:
    points, of = clusters(20, 60, 5)
    assert of[nearest_to_centres(points, 3, seed=0)].tolist() == [1, 0, 2]


def test_the_point_is_a_central_one() -> None:
    points, _ = clusters(200)
    (pick,) = nearest_to_centres(points, 1, seed=0)
    assert np.linalg.norm(points[pick] - points.mean(axis=0)) < 0.5


def test_the_same_seed_gives_the_same_points() -> None:
    points, _ = clusters(40, 40)
    assert nearest_to_centres(points, 7, seed=3).tolist() == nearest_to_centres(points, 7, seed=3).tolist()


@pytest.mark.parametrize(("points", "n", "found"), [(0, 3, 0), (5, 0, 0), (2, 5, 2), (6, 6, 6)])
def test_as_many_as_there_are(points: int, n: int, found: int) -> None:
    picks = nearest_to_centres(np.random.default_rng(0).normal(size=(points, 2)), n, seed=0)
    assert len(set(picks.tolist())) == len(picks) == found


def test_points_that_are_alike_count_once() -> None:
    assert len(nearest_to_centres(np.repeat([[0.0], [1.0]], 5, axis=0), 4, seed=0)) == 2
