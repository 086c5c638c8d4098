"""Adapter for strategies of scikit-activeml, an optional extra. They take seconds, not milliseconds."""

from __future__ import annotations

from typing import Any

import numpy as np

from pt4al_backend.sampling.candidates import Candidates, Positions


def choose(strategy: Any, candidates: Candidates, n: int) -> Positions:
    """Let a strategy of `skactiveml.pool` choose among the open candidates whose embeddings are known.

    Embeddings are standardised; all labels count as one class.

    Args:
        strategy: -1 must be its missing label.
        candidates: the images to choose from.
        n: how many to choose.

    Returns:
        At most `n` positions.
    """
    open_ = np.flatnonzero(candidates.open)
    waiting = candidates[open_]
    positions, embeddings = open_[waiting.known], waiting.embeddings[waiting.known]
    n = min(n, len(positions))
    if not n:
        return positions[:0]
    labelled = candidates.labelled_embeddings
    samples = np.concatenate([embeddings, labelled]).astype(np.float64)
    samples = (samples - samples.mean(axis=0)) / (samples.std(axis=0) + 1e-6)
    labels = np.concatenate([np.full(len(embeddings), -1), np.zeros(len(labelled), dtype=int)])
    try:
        picks = strategy.query(samples, labels, batch_size=n)
    except UnboundLocalError:  # raised by TypiClust in scikit-activeml 1.0.1 if every cluster has a label
        picks = []
    # TypiClust may pick an image twice when clusters run out.
    distinct = np.array(list(dict.fromkeys(np.asarray(picks).tolist())), dtype=np.int64)
    return positions[distinct]
