"""TypiClust: the most typical image of each unlabelled cluster (Hacohen, Dekel, Weinshall, ICML 2022, section 3).

The implementation is scikit-activeml's.
"""

from __future__ import annotations

from pt4al_backend.sampling.candidates import Candidates, Positions
from pt4al_backend.sampling.scikit_activeml import choose


def query(candidates: Candidates, n: int) -> Positions:
    """One image from each of the largest clusters without a label."""
    from skactiveml.pool import TypiClust
    from sklearn.cluster import MiniBatchKMeans

    # Mini-batches, which the authors use for many clusters.
    clustering = {"cluster_algo": MiniBatchKMeans, "cluster_algo_dict": {"n_init": 1, "random_state": candidates.seed}}
    return choose(TypiClust(missing_label=-1, random_state=candidates.seed, **clustering), candidates, n)
