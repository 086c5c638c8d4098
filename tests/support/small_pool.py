"""A pool of images whose embeddings say their class, without a store or a network."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from pt4al_backend.active_learning.fit_probes import fit_and_predict
from pt4al_backend.active_learning.pool_predictions import PoolPredictions
from pt4al_backend.active_learning.training_data import ProbeInputs
from pt4al_backend.labelling.questions import Question
from pt4al_backend.labelling.single import SINGLE
from pt4al_backend.store.embedding_file import EmbeddingFile
from pt4al_backend.store.store import PoolArrays

N, BATCHES = 24, 3
KIND = Question("kind", SINGLE, ("cat", "dog", "cow"))
CLASS = np.arange(N) // BATCHES % 3
EMBEDDINGS = (np.eye(3)[CLASS] + np.random.default_rng(0).normal(0, 0.2, (N, 3))).astype(np.float16)


def pool(labelled: Iterable[int] = (), skipped: Iterable[int] = ()) -> PoolArrays:
    """Task k + 100 has row k, rank k, and is in batch k modulo `BATCHES`."""
    positions = np.arange(N)
    marks = [np.isin(positions, np.array(list(some), dtype=np.int64)) for some in (labelled, skipped)]
    held_out = np.zeros(N, dtype=bool)
    return PoolArrays(
        positions + 100, positions, np.linspace(2, 1, N), positions % BATCHES, positions, *marks, held_out
    )


def predictions(directory: Path, a_pool: PoolArrays, *, missing: Iterable[int] = ()) -> PoolPredictions:
    """What probes predict that are fitted on the labels; embeddings of `missing` images are not computed."""
    features = EmbeddingFile(directory / "features.bin", width=3)
    rows = np.setdiff1d(np.arange(N), list(missing))
    features.write(rows, EMBEDDINGS[rows])
    answers = {int(task): {"kind": KIND.classes[CLASS[task - 100]]} for task in a_pool.task[a_pool.labelled]}
    sources = ProbeInputs(features, None, None, answers, None, background=True)
    return fit_and_predict(a_pool, [KIND], sources, uncertainty=lambda label_type: "margin")
