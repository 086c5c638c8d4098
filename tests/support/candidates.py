"""Candidates whose embeddings and predictions are made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.sampling.candidates import Candidates, random_key


@dataclass(frozen=True)
class KnownSource:
    """`sampling.candidates.Source`, from arrays over the pool."""

    known_embeddings: NDArray[np.floating]
    known_gradients: NDArray[np.floating] | None
    labelled: NDArray[np.floating]
    errors: tuple[NDArray[np.integer], NDArray[np.floating]]
    predicting: Callable[[NDArray[np.floating]], NDArray[np.integer]] | None

    def embeddings(self, positions: NDArray[np.int64]) -> NDArray[np.floating]:
        return self.known_embeddings[positions]

    def gradients(self, positions: NDArray[np.int64]) -> NDArray[np.floating] | None:
        if self.known_gradients is None:
            return None
        known = np.isfinite(self.known_embeddings[positions]).all(axis=1)
        return np.where(known[:, None], self.known_gradients[positions], np.nan)

    def labelled_embeddings(self) -> NDArray[np.floating]:
        return self.labelled

    def out_of_fold_errors(self) -> tuple[NDArray[np.integer], NDArray[np.floating]]:
        return self.errors

    def predicted(self, positions: NDArray[np.int64]) -> NDArray[np.integer] | None:
        if self.predicting is None:
            return None
        embeddings = self.known_embeddings[positions]
        return np.where(np.isfinite(embeddings).all(axis=1)[:, None], self.predicting(embeddings), -1)

    def predict(self, embeddings: NDArray[np.floating]) -> NDArray[np.integer] | None:
        return None if self.predicting is None else self.predicting(embeddings)


def candidates(
    embeddings: Any = None,
    *,
    n: int = 0,
    batch: Any = None,
    rank: Any = None,
    uncertainty: Any = None,
    gradients: Any = None,
    not_open: Any = (),
    labelled: Any = None,
    errors: Any = ((), ()),
    predict: Any = None,
    query_size: int = 10,
    round: int = 1,
    seed: int = 0,
) -> Candidates:
    """A pool of `embeddings` (m, D), or `n` images without, all open but `not_open`; predictions only if given.

    `labelled`: embeddings of what is labelled; `errors`: batches and errors of it; `predict`: embeddings -> values.
    """
    known = np.asarray(np.zeros((n, 2)) if embeddings is None else embeddings, dtype=np.float32)
    m = len(known)
    is_open = np.ones(m, dtype=bool)
    is_open[np.asarray(list(not_open), dtype=np.int64)] = False
    return Candidates(
        pool_positions=np.arange(m),
        batch=np.zeros(m, dtype=np.int64) if batch is None else np.asarray(batch, dtype=np.int64),
        rank=np.arange(m) if rank is None else np.asarray(rank),
        uncertainty=np.full(m, np.nan) if uncertainty is None else np.asarray(uncertainty, dtype=float),
        random_key=random_key(np.arange(1, m + 1), seed=seed),
        open=is_open,
        query_size=query_size,
        round=round,
        seed=seed,
        source=KnownSource(
            known,
            None if gradients is None else np.asarray(gradients, dtype=float),
            known[:0] if labelled is None else np.asarray(labelled, dtype=np.float32),
            (np.asarray(errors[0], dtype=np.int64), np.asarray(errors[1], dtype=float)),
            predict,
        ),
    )


def scattered(n: int, *, seed: int = 0, width: int = 16) -> NDArray[np.float32]:
    """Embeddings of `n` images that have nothing to do with one another."""
    return np.random.default_rng(seed).normal(size=(n, width)).astype(np.float32)


def alike(n: int, *, seed: int = 0, width: int = 16) -> NDArray[np.float32]:
    """Embeddings of `n` almost identical images."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(1, width)) + 1e-3 * rng.normal(size=(n, width))).astype(np.float32)


def batches_of_ten(*, wrong: int) -> Candidates:
    """Three batches of ten images, two of them labelled; the model is wrong about those of batch `wrong`."""
    batch = np.repeat(np.arange(3), 10)
    labelled = np.arange(30) % 10 < 2
    unsure = np.random.default_rng(0).random(30)
    return candidates(
        np.eye(30),
        batch=batch,
        uncertainty=unsure,
        gradients=unsure[:, None],
        not_open=np.flatnonzero(labelled),
        labelled=np.eye(30)[labelled],
        errors=(np.repeat(batch[labelled], 50), np.repeat(batch[labelled] == wrong, 50).astype(float)),
        query_size=1000,
    )
