from typing import Any

import numpy as np
import pytest
from support.candidates import candidates, scattered

from pt4al_backend.sampling import dropquery
from pt4al_backend.sampling.candidates import Candidates

N = 200


def seen(*, predict: Any = None, **changes: Any) -> Candidates:
    return candidates(scattered(N, width=8), predict=predict, **changes)


def sign_of_the_sum(embeddings: np.ndarray) -> np.ndarray:
    return (embeddings.sum(axis=1) > 0).astype(np.int64)[:, None]


def test_images_whose_prediction_changes_are_chosen() -> None:
    sure = np.full((N, 64), 5.0, dtype=np.float32)
    sure[:40] = scattered(40, width=64)  # their sums are of either sign, depending on what is dropped
    query = dropquery.query(candidates(sure, predict=sign_of_the_sum), 10)
    assert len(query) == 10 and (query < 40).all()


def test_with_few_unsure_images_the_most_uncertain_are_added() -> None:
    uncertainty = np.arange(N) / N
    query = dropquery.query(seen(predict=lambda e: np.zeros((len(e), 1)), uncertainty=uncertainty), 10)
    assert sorted(query.tolist()) == list(range(N - 10, N))


def test_before_the_first_label_all_kinds_of_images_are_chosen() -> None:
    groups = np.repeat(range(5), 20)
    embeddings = np.eye(5, 8)[groups] + 0.01 * scattered(100, width=8)
    assert sorted(groups[dropquery.query(candidates(embeddings), 5)].tolist()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("predict", [None, sign_of_the_sum])
def test_labelled_images_are_not_chosen(predict: Any) -> None:
    query = dropquery.query(seen(predict=predict, not_open=range(100), uncertainty=np.ones(N)), 20)
    assert len(query) == 20 and (query >= 100).all()


def test_another_round_drops_other_values() -> None:
    one, two = (dropquery.query(seen(predict=sign_of_the_sum, uncertainty=np.ones(N), round=k), 10) for k in (1, 2))
    assert one.tolist() != two.tolist()
