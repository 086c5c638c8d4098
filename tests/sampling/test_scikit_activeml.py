from typing import Any

import numpy as np
import pytest
from support.candidates import candidates, scattered

from pt4al_backend.sampling.scikit_activeml import choose


class Recording:
    """A strategy of `skactiveml.pool` that picks fixed rows and records its arguments."""

    def __init__(self, picks: Any) -> None:
        self.picks = picks

    def query(self, X: Any, y: Any, *, batch_size: int) -> Any:
        self.X, self.y, self.batch_size = X, y, batch_size
        if isinstance(self.picks, Exception):
            raise self.picks
        return self.picks


def test_it_gets_open_images_with_embeddings_and_then_labelled_ones():
    embeddings = scattered(8, width=3) * 100 + 7
    embeddings[5] = np.nan
    strategy = Recording([1, 4])
    images = candidates(embeddings, not_open=[0, 1], labelled=embeddings[:1])
    assert choose(strategy, images, 2).tolist() == [3, 7]
    assert strategy.y.tolist() == [-1] * 5 + [0]
    assert strategy.batch_size == 2
    assert strategy.X.mean(axis=0) == pytest.approx(0, abs=1e-9) and strategy.X.std(axis=0) == pytest.approx(1)
    order = np.argsort(embeddings[[2, 3, 4, 6, 7, 0], 0])
    assert np.argsort(strategy.X[:, 0]).tolist() == order.tolist()


def test_no_more_images_are_requested_than_exist():
    strategy = Recording([0, 1, 2])
    choose(strategy, candidates(scattered(3)), 9)
    assert strategy.batch_size == 3


def test_repeated_picks_count_once():
    assert choose(Recording([2, 0, 2, 0]), candidates(scattered(4)), 4).tolist() == [2, 0]


def test_none_is_chosen_if_every_cluster_is_labelled():
    assert choose(Recording(UnboundLocalError()), candidates(scattered(4)), 4).tolist() == []


def test_it_is_not_called_without_images_to_choose_from():
    strategy = Recording([0])
    assert choose(strategy, candidates(np.full((4, 2), np.nan)), 4).tolist() == []
    assert not hasattr(strategy, "X")
