"""The pool as query strategies see it: `sampling.Candidates` over the stored embeddings and the fitted probes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pt4al_backend.active_learning.fit_probes import out_of_fold_errors
from pt4al_backend.active_learning.pool_predictions import PoolPredictions
from pt4al_backend.sampling.candidates import Candidates, Positions, random_key
from pt4al_backend.store.store import PoolArrays


@dataclass(frozen=True)
class CandidateSource:
    """What strategies ask for while they choose: `sampling.candidates.Source`. Positions are those in the pool."""

    pool: PoolArrays
    predictions: PoolPredictions

    def embeddings(self, positions: Positions) -> NDArray[np.float32]:
        """(k, D); a row is NaN where it is not computed yet."""
        known = self._known(positions)
        file = self.predictions.inputs.embeddings
        values = np.full((len(positions), file.width), np.nan, dtype=np.float32)
        values[known] = file.read(self.pool.row[positions[known]])
        return values

    def gradients(self, positions: Positions) -> NDArray[np.float64] | None:
        """(k, outputs), NaN where the embedding is not computed yet; None before the first label."""
        if not self.predictions.per_question:
            return None
        known = self._known(positions)
        computed = self.predictions.gradients(positions[known])
        values = np.full((len(positions), computed.shape[1]), np.nan)
        values[known] = computed
        return values

    def labelled_embeddings(self) -> NDArray[np.float32]:
        """(l, D), those that are computed."""
        file, rows = self.predictions.inputs.embeddings, self.pool.row[self.pool.training]
        return file.read(rows[file.has(rows)]).astype(np.float32)

    def out_of_fold_errors(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(l,) the batch of each labelled image, and the share of its answers that probes fitted without it miss."""
        positions, wrong = out_of_fold_errors(self.pool, self.predictions.questions, self.predictions.inputs)
        return self.pool.batch[positions], wrong

    def predicted(self, positions: Positions) -> NDArray[np.int64] | None:
        """(k, values) the stored predictions."""
        stored = [each.arrays.chosen for each in self.predictions.per_question if len(each.arrays.chosen)]
        if not stored:
            return None
        values = [chosen[positions].reshape(len(positions), -1) for chosen in stored]
        return np.where(self._known(positions)[:, None], np.concatenate(values, axis=1), -1)

    def predict(self, embeddings: NDArray[np.floating]) -> NDArray[np.integer] | None:
        """(k, values) the predictions that would be stored for images with these embeddings."""
        of_images = [each for each in self.predictions.per_question if not each.question.label_type.dense]
        stored = [each.question.label_type.predicted(each.head.logits(embeddings)) for each in of_images]
        values = [found[1].reshape(len(embeddings), -1) for found in stored if found is not None]
        return np.concatenate(values, axis=1) if values else None

    def _known(self, positions: Positions) -> NDArray[np.bool_]:
        return self.predictions.inputs.known(self.pool.row[positions])


def candidates_of(
    pool: PoolArrays, predictions: PoolPredictions, *, query_size: int, round: int, seed: int
) -> Candidates:
    """All images of the pool as candidates."""
    return Candidates(
        pool_positions=np.arange(len(pool)),
        batch=pool.batch,
        rank=pool.rank,
        uncertainty=predictions.uncertainty,
        random_key=random_key(pool.task, seed=seed),
        open=pool.open & ~pool.held_out,
        query_size=query_size,
        round=round,
        seed=seed,
        source=CandidateSource(pool, predictions),
    )
