"""DropQuery: diverse images whose prediction changes when parts of their embeddings are dropped.

"Revisiting Active Learning in the Era of Vision Foundation Models" (Gupte, Aklilu, Nirschl, Yeung-Levy, TMLR 2024).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.candidates import Candidates, Positions
from pt4al_backend.sampling.k_means import nearest_to_centres

TIMES, RATE = 3, 0.75
"""How often values are dropped, and what share of them; both the paper's."""


def query(candidates: Candidates, n: int) -> Positions:
    """The centre of each cluster of unsure images; before the first label, of all open ones."""
    open_ = np.flatnonzero(candidates.open)
    waiting = candidates[open_]
    unsure = waiting.known[_unsure(waiting, n)]
    return open_[unsure[nearest_to_centres(_unit(waiting.embeddings[unsure]), n, seed=candidates.seed)]]


def _unsure(waiting: Candidates, n: int) -> Positions:
    """Which of the known images change their prediction more often than not; with too few, the most uncertain too."""
    embeddings = waiting.embeddings[waiting.known].astype(np.float32)
    predicted = waiting.predict(embeddings)
    if predicted is None or not len(embeddings):
        return np.arange(len(embeddings))
    random = np.random.default_rng([waiting.seed, waiting.round])
    changes = np.zeros(len(embeddings), dtype=np.int64)
    for _ in range(TIMES):
        kept = random.random(embeddings.shape) >= RATE
        dropped = waiting.predict(embeddings * kept / (1 - RATE))
        assert dropped is not None
        changes += (dropped != predicted).any(axis=1)
    changes_often = changes > TIMES / 2
    uncertainty = np.nan_to_num(waiting.uncertainty[waiting.known], nan=-np.inf)
    ordered = np.lexsort((-uncertainty, ~changes_often))
    return ordered[: max(int(changes_often.sum()), n)]


def _unit(embeddings: NDArray[np.floating]) -> NDArray[np.floating]:
    return embeddings / np.maximum(np.linalg.norm(embeddings, axis=1, keepdims=True), 1e-12)
