"""The images nearest to the centres of k-means clusters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.candidates import Positions


def nearest_to_centres(points: NDArray[np.floating], n: int, *, seed: int) -> Positions:
    """The point nearest to each of `n` cluster centres, that of the largest cluster first.

    Args:
        points: (m, d) to cluster.
        n: number of clusters.
        seed: where the clusters start.

    Returns:
        At most `n` distinct positions: fewer if fewer points differ.
    """
    from sklearn.cluster import MiniBatchKMeans

    n = min(n, len(np.unique(points, axis=0)))
    if not n:
        return np.empty(0, dtype=np.int64)
    clusters = MiniBatchKMeans(n, n_init=1, random_state=seed).fit(points)
    distances = clusters.transform(points)
    picks: list[int] = []
    for cluster in np.argsort(-np.bincount(clusters.labels_, minlength=n), kind="stable"):
        nearest = int(distances[:, cluster].argmin())
        picks.append(nearest)
        distances[nearest] = np.inf
    return np.array(picks, dtype=np.int64)
