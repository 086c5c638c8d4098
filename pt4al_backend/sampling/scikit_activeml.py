"""Other people's query strategies, for comparison: from scikit-activeml, an optional extra.

They choose a whole query at once, from the whole pool, and take seconds where PT4AL's own take
milliseconds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.badge import gradients
from pt4al_backend.sampling.baselines import random_sampling
from pt4al_backend.sampling.candidates import Candidates, Positions, known, then_the_rest


def badge(lane: Candidates, wanted: int) -> Positions:
    """BADGE (Ash et al., ICLR 2020): k-means++ over gradient embeddings. Random before the first label.

    scikit-activeml's knows one class per image; for other answers it is our own, over the whole pool.
    """
    if lane.errors is None:
        return random_sampling(lane, wanted)
    if lane.predict is None:
        return gradients(lane, wanted)
    from skactiveml.base import SkactivemlClassifier
    from skactiveml.pool import Badge

    candidates, _ = known(lane, np.flatnonzero(lane.open))
    probabilities = lane.predict(candidates)

    class Fitted(SkactivemlClassifier):
        """The refitted heads, which are asked about the candidates only."""

        def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Fitted:
            return self

        def predict_proba(self, X: NDArray[np.floating]) -> NDArray[np.floating]:
            assert len(X) == len(probabilities)
            return probabilities

    strategy = Badge(missing_label=-1, random_state=lane.seed)
    return _query(strategy, lane, wanted, raw=True, clf=Fitted(missing_label=-1), fit_clf=False)


def coreset(lane: Candidates, wanted: int) -> Positions:
    """Core-Set (Sener & Savarese, ICLR 2018): greedy k-centre."""
    from skactiveml.pool import CoreSet

    return _query(CoreSet(missing_label=-1, random_state=lane.seed), lane, wanted)


def typiclust(lane: Candidates, wanted: int) -> Positions:
    """TypiClust (Hacohen et al., ICML 2022): the most typical image of each cluster without a label."""
    from skactiveml.pool import TypiClust
    from sklearn.cluster import MiniBatchKMeans

    # In mini-batches, as its authors do where clusters are many.
    clustering = {"cluster_algo": MiniBatchKMeans, "cluster_algo_dict": {"n_init": 1, "random_state": lane.seed}}
    return _query(TypiClust(missing_label=-1, random_state=lane.seed, **clustering), lane, wanted)


def _query(strategy: Any, lane: Candidates, wanted: int, *, raw: bool = False, **arguments: Any) -> Positions:
    positions, features = known(lane, np.flatnonzero(lane.open))
    wanted = min(wanted, len(positions))
    if not wanted:
        return then_the_rest(positions[:0], lane)
    labelled = lane.labelled()
    everything = np.concatenate([features, labelled]).astype(np.float64)
    if not raw:
        everything = (everything - everything.mean(axis=0)) / (everything.std(axis=0) + 1e-6)
    answers = np.concatenate([np.full(len(features), -1), np.zeros(len(labelled), dtype=int)])
    try:
        picks = strategy.query(everything, answers, batch_size=wanted, **arguments)
    except UnboundLocalError:  # scikit-activeml 1.0.1, TypiClust: every cluster has a label, so no image stands out
        picks = []
    # TypiClust's picks may repeat themselves when clusters run out.
    once = np.array(list(dict.fromkeys(np.asarray(picks).tolist())), dtype=np.int64)
    return then_the_rest(positions[once], lane)
