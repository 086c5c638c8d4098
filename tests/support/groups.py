"""Candidates of four groups, not too far from one another."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.candidates import Candidates
from support.candidates import candidates

N, WIDTH, GROUPS, WANTED = 200, 16, 4, 20
LABELLED = np.arange(0, N, 10)
SKIPPED = np.array([1, 2])


def embeddings() -> NDArray[np.float32]:
    """Image k is of group k modulo `GROUPS`."""
    centres = 3 * np.random.default_rng(1).normal(size=(GROUPS, WIDTH))
    noise = np.random.default_rng(2).normal(size=(N, WIDTH))
    return (centres[np.arange(N) % GROUPS] + noise).astype(np.float32)


def grouped(known: NDArray[Any], *, labelled: Any = LABELLED, skipped: Any = SKIPPED, seed: int = 0) -> Candidates:
    """Candidates with these embeddings."""
    return candidates(
        known,
        uncertainty=np.random.default_rng(3).random(len(known)),
        not_open=np.concatenate([labelled, skipped]),
        labelled=known[labelled],
        query_size=WANTED,
        seed=seed,
    )
