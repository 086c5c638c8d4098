"""The scores of a pool, packed."""

from __future__ import annotations

import numpy as np
import pytest
from support.stored import QUESTIONS

from pt4al_backend.labelling.label_types import questions_of
from pt4al_backend.labelling.questions import Prediction
from pt4al_backend.store.pool_scores import PredictionArrays, RankingArrays


@pytest.fixture
def arrays() -> RankingArrays:
    kinds = PredictionArrays(np.array([0.9, np.nan], np.float32), np.array([1, 0], np.int32))
    tags = PredictionArrays(np.array([0.8, 0.7], np.float32), np.array([[1, 1], [0, 0]], np.uint8))
    mask = PredictionArrays(np.full(2, np.nan, np.float32), np.zeros(0, np.uint8))
    return RankingArrays(np.array([4, 9]), np.array([0.5, 1.0]), (kinds, tags, mask))


def test_packing_and_unpacking_keeps_them(arrays: RankingArrays) -> None:
    found = RankingArrays.from_bytes(arrays.to_bytes())
    np.testing.assert_array_equal(found.task, arrays.task)
    np.testing.assert_array_equal(found.score, arrays.score)
    for mine, its in zip(found.predictions, arrays.predictions, strict=True):
        np.testing.assert_array_equal(mine.probability, its.probability)
        np.testing.assert_array_equal(mine.chosen, its.chosen)


def test_find_returns_the_positions_of_tasks(arrays: RankingArrays) -> None:
    assert arrays.find(np.array([9, 5, 4, 100, 0])).tolist() == [1, -1, 0, -1, -1]
    nothing = RankingArrays(np.zeros(0, np.int64), np.zeros(0), ())
    assert RankingArrays.from_bytes(nothing.to_bytes()).find(np.array([1])).tolist() == [-1]


def test_predictions_at_omits_missing_ones(arrays: RankingArrays) -> None:
    first, second = (arrays.predictions_at(place, questions_of(QUESTIONS)) for place in (0, 1))
    assert first == {
        "kind": Prediction("dog", pytest.approx(0.9)),
        "tags": Prediction(("small", "wet"), pytest.approx(0.8)),
    }
    assert second == {"tags": Prediction((), pytest.approx(0.7))}
