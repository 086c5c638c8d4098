"""Strategies of scikit-activeml, an optional extra, as our own are called. They take seconds, not milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from pt4al_backend.sampling.candidates import Candidates, Positions


def choose(strategy: Any, candidates: Candidates, n: int) -> Positions:
    """What a strategy of `skactiveml.pool` picks among the open candidates whose embeddings are known.

    `strategy` takes -1 for a missing label. Embeddings are standardised; all labels count as one class.
    """
    open_ = np.flatnonzero(candidates.open)
    waiting = candidates[open_]
    positions, embeddings = open_[waiting.known], waiting.embeddings[waiting.known]
    n = min(n, len(positions))
    if not n:
        return positions[:0]
    labelled = candidates.labelled_embeddings
    everything = np.concatenate([embeddings, labelled]).astype(np.float64)
    everything = (everything - everything.mean(axis=0)) / (everything.std(axis=0) + 1e-6)
    labels = np.concatenate([np.full(len(embeddings), -1), np.zeros(len(labelled), dtype=int)])
    try:
        picks = strategy.query(everything, labels, batch_size=n)
    except UnboundLocalError:  # scikit-activeml 1.0.1, TypiClust: every cluster has a label, so no image stands out
        picks = []
    # TypiClust's picks may repeat themselves when clusters run out.
    once = np.array(list(dict.fromkeys(np.asarray(picks).tolist())), dtype=np.int64)
    return positions[once]
