"""The round that is due, the strategy that has its turn, and the embeddings it needs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.candidates import batches_of_ten
from support.outsiders import install
from support.small_pool import BATCHES, N, pool

from pt4al_backend.active_learning.schedule import Schedule, chosen_strategy, ranked_pool, schedule
from pt4al_backend.errors import PT4ALError
from pt4al_backend.sampling import coverage, evenly_spaced, random_sampling
from pt4al_backend.sampling.strategy import Strategy
from pt4al_backend.settings import Settings
from pt4al_backend.store.tables import Project


def due(labelled: list[int], *, strategy: str = "pt4al", query_size: int = 2, **settings: object) -> Schedule:
    project = Project(cycles=BATCHES, query_size=query_size, dense=False)
    return schedule(pool(labelled), project, Settings(strategy=strategy, diversity="coverage", **settings))


def test_a_round_of_pt4al_queries_one_batch() -> None:
    now = due([0, 3, 1])
    assert (now.round.number, now.round.left, now.query_size) == (1, 1, 2)
    assert now.round.members.tolist() == list(range(1, N, BATCHES))
    assert now.strategy.query_of(now.round.number) is coverage.query


def test_a_round_of_any_other_strategy_queries_the_whole_pool() -> None:
    now = due([0, 3, 1], strategy="margin")
    assert (now.name, now.round.number, now.round.cycles, now.round.left) == ("margin", 1, 1, 2)
    assert now.round.members.tolist() == list(range(N))


def test_the_settings_query_size_wins_over_the_projects() -> None:
    assert due([0, 3, 1]).query_size == 2
    now = schedule(pool([0, 3, 1]), Project(cycles=BATCHES, query_size=2, dense=False), Settings(query_size=5))
    assert (now.query_size, now.round.number, now.round.left) == (5, 0, 3)


def test_embeddings_are_needed_of_labels_of_this_batch_and_of_the_next() -> None:
    a_pool = pool([2])
    assert sorted(due([2]).rows(a_pool).tolist()) == sorted({2, *range(0, N, BATCHES), *range(1, N, BATCHES)})


@pytest.mark.parametrize(("labelled", "strategy"), [([0, 3, 1, 4], "pt4al"), ([2], "random"), ([2], "bandit")])
def test_in_the_last_round_and_without_batches_all_embeddings_are_needed(labelled: list[int], strategy: str) -> None:
    assert sorted(due(labelled, strategy=strategy).rows(pool(labelled)).tolist()) == list(range(N))


@pytest.mark.parametrize("pretext", [True, False])
@pytest.mark.parametrize("in_batches", [0, 15, 17, 24])
def test_with_a_pretrained_encoder_batches_are_used_once_most_images_are_in_one(pretext: bool, in_batches: int) -> None:
    """Of 24 images; a strategy that does not look at losses never gets to see any."""
    known = np.arange(N) < in_batches
    everything = pool([2])
    some = replace(
        everything,
        loss=np.where(known, everything.loss, np.nan),
        batch=np.where(known, everything.batch, -1),
        rank=np.where(known, everything.rank, -1),
    )
    ranked = ranked_pool(some, np.ones(N, bool), Strategy(random_sampling.query, batches=pretext))
    uses_batches = pretext and in_batches > 16
    assert ranked.task.tolist() == everything.task[: in_batches if uses_batches else N].tolist()
    assert (ranked.batch >= 0).all() == (ranked.rank >= 0).all() == uses_batches
    assert np.isnan(ranked.loss).all() != uses_batches
    now = schedule(ranked, Project(cycles=BATCHES, query_size=2, dense=False), Settings(diversity="coverage"))
    assert now.round.cycles == (BATCHES if uses_batches else 1)


def test_images_that_are_not_embedded_are_not_ranked() -> None:
    ranked = ranked_pool(pool(), np.arange(N) % 2 == 0, Strategy(random_sampling.query))
    assert ranked.task.tolist() == list(range(100, 100 + N, 2))


def test_a_query_size_can_be_given_before_there_are_batches() -> None:
    project = Project(cycles=0, query_size=0, dense=False)
    everything = replace(pool(), batch=np.full(N, -1))
    assert schedule(everything, project, Settings(), query_size=3).round.left == 3
    assert schedule(everything, project, Settings(query_size=5), query_size=3).round.left == 5


def test_diversity_follows_from_whether_pixels_are_told_apart() -> None:
    settings = Settings()
    assert chosen_strategy(settings, dense=True, pretrained=False).query is coverage.query
    assert chosen_strategy(settings, dense=True, pretrained=False).first is evenly_spaced.query
    assert chosen_strategy(settings, dense=False, pretrained=False).query is not coverage.query


def test_the_old_name_of_the_bandit_chooses_it() -> None:
    images = batches_of_ten(wrong=2)
    for settings in (Settings(order="bandit"), Settings(strategy="bandit")):
        query = chosen_strategy(settings, dense=False, pretrained=False).query(images, 5)
        assert set(images.batch[query]) == {2}, "the bandit draws the batch in which the model is wrong"
    named = Settings(order="bandit", strategy="random")
    assert chosen_strategy(named, dense=False, pretrained=False).query is random_sampling.query


def test_a_strategy_that_cannot_be_used_is_told_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "broken_9", "import nothing_of_that_name")
    settings = Settings(strategy="broken_9")
    with pytest.raises(PT4ALError, match=r"broken_9 of the package broken_9 cannot be imported .* PT4AL_STRATEGY"):
        chosen_strategy(settings, dense=False, pretrained=False)
