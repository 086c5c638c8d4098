"""TypiClust: the most typical image of each cluster without a label (Hacohen, Dekel, Weinshall, ICML 2022, section 3).

By scikit-activeml.
"""

from __future__ import annotations

from pt4al_backend.sampling.candidates import Candidates, Positions
from pt4al_backend.sampling.scikit_activeml import choose


def query(candidates: Candidates, n: int) -> Positions:
    """One image of each of the largest clusters that have no label."""
    from skactiveml.pool import TypiClust
    from sklearn.cluster import MiniBatchKMeans

    # In mini-batches, as its authors do where clusters are many.
    clustering = {"cluster_algo": MiniBatchKMeans, "cluster_algo_dict": {"n_init": 1, "random_state": candidates.seed}}
    return choose(TypiClust(missing_label=-1, random_state=candidates.seed, **clustering), candidates, n)
