from typing import Any

import numpy as np
import pytest
from support.candidates import candidates, scattered

from pt4al_backend.sampling.scikit_activeml import choose


class Recording:
    """A strategy of `skactiveml.pool` that picks given rows and remembers what it was asked."""

    def __init__(self, picks: Any) -> None:
        self.picks = picks

    def query(self, X: Any, y: Any, *, batch_size: int) -> Any:
        self.X, self.y, self.batch_size = X, y, batch_size
        if isinstance(self.picks, Exception):
            raise self.picks
        return self.picks


def test_it_is_shown_what_is_open_and_known_and_then_what_is_labelled():
    embeddings = scattered(8, width=3) * 100 + 7
    embeddings[5] = np.nan
    strategy = Recording([1, 4])
    some = candidates(embeddings, not_open=[0, 1], labelled=embeddings[:1])
    assert choose(strategy, some, 2).tolist() == [3, 7]
    assert strategy.y.tolist() == [-1] * 5 + [0]
    assert strategy.batch_size == 2
    assert strategy.X.mean(axis=0) == pytest.approx(0, abs=1e-9) and strategy.X.std(axis=0) == pytest.approx(1)
    order = np.argsort(embeddings[[2, 3, 4, 6, 7, 0], 0])
    assert np.argsort(strategy.X[:, 0]).tolist() == order.tolist()


def test_no_more_are_asked_for_than_there_are():
    strategy = Recording([0, 1, 2])
    choose(strategy, candidates(scattered(3)), 9)
    assert strategy.batch_size == 3


def test_picks_that_repeat_themselves_count_once():
    assert choose(Recording([2, 0, 2, 0]), candidates(scattered(4)), 4).tolist() == [2, 0]


def test_where_no_image_stands_out_none_is_chosen():
    assert choose(Recording(UnboundLocalError()), candidates(scattered(4)), 4).tolist() == []


def test_it_is_not_asked_where_there_is_nothing_to_choose():
    strategy = Recording([0])
    assert choose(strategy, candidates(np.full((4, 2), np.nan)), 4).tolist() == []
    assert not hasattr(strategy, "X")
