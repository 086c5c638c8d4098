"""What query strategies see of a pool whose embeddings and labels are known."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from support.small_pool import BATCHES, CLASS, EMBEDDINGS, N, pool, predictions

from pt4al_backend.active_learning.candidate_source import candidates_of
from pt4al_backend.sampling.candidates import Candidates, random_key

MISSING = [2, 7]


def seen(directory: Path, *, labelled: Iterable[int] = range(0, 12, 2), skipped: Iterable[int] = ()) -> Candidates:
    a_pool = pool(labelled, skipped)
    return candidates_of(a_pool, predictions(directory, a_pool, missing=MISSING), query_size=5, round=2, seed=3)


def test_the_pool_in_arrays(tmp_path: Path) -> None:
    found = seen(tmp_path, skipped=(1, 3))
    assert found.batch.tolist() == [k % BATCHES for k in range(N)]
    assert found.rank.tolist() == found.pool_positions.tolist() == list(range(N))
    assert np.flatnonzero(~found.open).tolist() == [0, 1, 2, 3, 4, 6, 8, 10]
    assert found.random_key.tolist() == random_key(np.arange(N) + 100, seed=3).tolist()
    assert (found.query_size, found.round, found.seed) == (5, 2, 3)
    assert np.flatnonzero(np.isnan(found.uncertainty)).tolist() == MISSING


def test_embeddings_are_those_on_disk(tmp_path: Path) -> None:
    part = seen(tmp_path)[np.array([7, 20, 5])]
    assert part.known.tolist() == [1, 2]
    assert (part.embeddings[1:] == EMBEDDINGS[[20, 5]]).all()
    assert np.isnan(part.embeddings[0]).all()


def test_gradients_are_what_is_predicted_less_the_class_predicted(tmp_path: Path) -> None:
    part = seen(tmp_path)[np.array([7, 20, 5])]
    assert part.gradients is not None and part.gradients.shape == (3, 3)
    assert np.isnan(part.gradients[0]).all()
    assert part.gradients[1:].sum(axis=1) == pytest.approx(0, abs=1e-6)
    assert part.gradients[1:].argmin(axis=1).tolist() == CLASS[[20, 5]].tolist()


def test_before_the_first_label_nothing_is_predicted(tmp_path: Path) -> None:
    found = seen(tmp_path, labelled=[])
    assert found.gradients is None
    assert np.isnan(found.uncertainty).all()
    assert found.labelled_embeddings.shape == (0, 3)
    assert [len(part) for part in found.out_of_fold_errors] == [0, 0]


def test_predictions_are_those_that_are_stored(tmp_path: Path) -> None:
    part = seen(tmp_path)[np.array([7, 20, 5])]
    assert part.predicted is not None and part.predicted.tolist() == [[-1], [CLASS[20]], [CLASS[5]]]
    assert seen(tmp_path, labelled=[]).predicted is None


def test_any_embeddings_can_be_predicted(tmp_path: Path) -> None:
    found = seen(tmp_path)
    predicted = found.predict(EMBEDDINGS[[20, 5]])
    assert predicted is not None and predicted.tolist() == CLASS[[20, 5], None].tolist()
    assert seen(tmp_path, labelled=[]).predict(EMBEDDINGS) is None


def test_labelled_embeddings_are_those_that_are_computed(tmp_path: Path) -> None:
    assert (seen(tmp_path).labelled_embeddings == EMBEDDINGS[[0, 4, 6, 8, 10]]).all()


def test_errors_are_those_of_probes_that_did_not_see_the_label(tmp_path: Path) -> None:
    batch, wrong = seen(tmp_path, labelled=list(range(18))).out_of_fold_errors
    known = np.setdiff1d(np.arange(18), MISSING)
    assert batch.tolist() == (known % BATCHES).tolist()
    assert ((wrong == 0) | (wrong == 1)).all()
    assert wrong.mean() < 0.3  # the embeddings say the class
