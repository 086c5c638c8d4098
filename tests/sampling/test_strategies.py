"""Every strategy in the table goes through the same checks; strategies of other packages come in by name."""

import importlib.util
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.candidates import candidates, scattered
from support.outsiders import install

from pt4al_backend.sampling import random_sampling, strategies
from pt4al_backend.sampling.strategies import STRATEGIES, StrategyError, find, names
from pt4al_backend.sampling.strategy import Strategy

VARIANTS = {
    f"{name} {diversity}{' of pixels' if dense else ''}": find(name, diversity=diversity, dense=dense)
    for name in STRATEGIES
    for diversity in (("off", "coverage", "gradients") if name in ("pt4al", "bandit") else ("off",))
    for dense in (False, True)
    if not dense or name in ("pt4al", "bandit")
}
QUERIES = {
    f"{name}, round {number}": (strategy.query_of(number), number)
    for name, strategy in VARIANTS.items()
    for number in (0, 1)
}
EACH = pytest.mark.parametrize(("query", "number"), QUERIES.values(), ids=QUERIES.keys())
M = 60


def sample(embeddings=None, *, not_open=(), predicts=True, number=1, seed=0, **changes):
    """Candidates in three batches; the model has predictions once there are labels."""
    embeddings = scattered(M, width=5) if embeddings is None else embeddings
    m = len(embeddings)
    rng = np.random.default_rng(3)
    labelled = np.asarray(list(not_open), dtype=np.int64)
    batch = np.arange(m) % 3
    have = embeddings[labelled]
    return candidates(
        embeddings,
        batch=batch,
        rank=rng.permutation(m),
        uncertainty=rng.random(m) if predicts else None,
        gradients=rng.normal(size=(m, 3)) if predicts else None,
        not_open=labelled,
        labelled=have[np.isfinite(have).all(axis=1)],
        errors=(batch[labelled], rng.random(len(labelled))),
        predict=(lambda these: (these[:, :1] > 0).astype(np.int64)) if predicts else None,
        round=number,
        seed=seed,
        **changes,
    )


def check(query, images, n):
    """Check that the query is valid and the others follow; return its first `n` positions."""
    returned = query(images, n)
    served = images.serving_order(returned)  # raises on an invalid query
    assert sorted(served.tolist()) == np.flatnonzero(images.open).tolist()
    return served[:n].tolist()


@EACH
def test_some_images_are_labelled(query, number):
    images = sample(not_open=range(0, M, 4), number=number)
    chosen = check(query, images, 10)
    assert len(chosen) == 10
    assert len(query(images, 10)) >= 5, "it chooses itself"


@EACH
def test_nothing_is_labelled(query, number):
    assert len(check(query, sample(predicts=False, number=number), 10)) == 10


@EACH
def test_nothing_is_open(query, number):
    assert check(query, sample(not_open=range(M), number=number), 10) == []


@EACH
def test_there_are_no_images(query, number):
    assert check(query, sample(scattered(0, width=5), predicts=False, number=number), 10) == []


@EACH
@pytest.mark.parametrize("left", [1, 2, 5])
def test_fewer_images_are_open_than_are_wanted(query, number, left):
    assert len(check(query, sample(not_open=range(left, M), number=number), 10)) == left


@EACH
def test_more_are_wanted_than_there_are(query, number):
    assert len(check(query, sample(not_open=[3], number=number), 10 * M)) == M - 1


@EACH
def test_none_is_wanted(query, number):
    assert check(query, sample(not_open=[3], number=number), 0) == []


@EACH
def test_embeddings_are_partly_missing(query, number):
    embeddings = scattered(M, width=5)
    embeddings[5::7] = np.nan
    assert len(check(query, sample(embeddings, not_open=range(0, M, 4), number=number), 20)) == 20


@EACH
def test_no_embedding_is_computed(query, number):
    embeddings = np.full((M, 5), np.nan)
    assert len(check(query, sample(embeddings, not_open=range(0, M, 4), number=number), 20)) == 20


@EACH
@pytest.mark.parametrize("labels", [0, 3])
def test_all_images_are_alike(query, number, labels):
    images = sample(np.zeros((M, 5), dtype=np.float32), not_open=range(labels), predicts=bool(labels), number=number)
    assert len(check(query, images, 20)) == 20


@EACH
def test_few_images_are_distinct(query, number):
    images = sample(scattered(7, width=5)[np.arange(M) % 7], not_open=[0], number=number)
    assert len(check(query, images, 20)) == 20


@EACH
def test_the_same_seed_gives_the_same_query(query, number):
    one, two = (query(sample(not_open=range(0, M, 4), number=number, seed=3), 10).tolist() for _ in range(2))
    assert one == two


@EACH
def test_candidates_are_left_as_they_are(query, number):
    images = sample(not_open=range(0, M, 4), number=number)
    arrays = [images.batch, images.rank, images.uncertainty, images.random_key, images.open, images.embeddings]
    for array in arrays:
        array.flags.writeable = False
    check(query, images, 10)


OWN = {
    name: query
    for name, query in QUERIES.items()
    if name.split()[0] not in ("coreset", "typiclust", "tcm", "dropquery")
}


@pytest.mark.parametrize(("query", "number"), OWN.values(), ids=OWN.keys())
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(m=st.integers(0, 25), n=st.integers(0, 30), predicts=st.booleans(), seed=st.integers(0, 999))
def test_any_candidates(query, number, m, n, predicts, seed):
    rng = np.random.default_rng(seed)
    embeddings = rng.integers(0, rng.integers(1, 5), (m, 3)).astype(np.float32)  # few distinct values
    embeddings[rng.random(m) < rng.choice([0, 0.3, 1])] = np.nan
    not_open = np.flatnonzero(rng.random(m) < rng.choice([0, 0.4, 1]))
    query_size = int(rng.integers(1, 30))
    images = sample(embeddings, not_open=not_open, predicts=predicts, number=number, query_size=query_size)
    assert len(check(query, images, n)) == min(n, m - len(not_open))


# The table


def test_pt4al_is_the_only_one_whose_rounds_have_batches_of_their_own():
    assert {name.split()[0] for name, strategy in VARIANTS.items() if strategy.batches} == {"pt4al"}


def test_what_chooses_without_embeddings_in_round_0_does_not_wait_for_them():
    waiting = {name for name, strategy in VARIANTS.items() if strategy.needs_embeddings}
    assert waiting == {
        "pt4al coverage",
        "pt4al gradients",
        "bandit coverage",
        "bandit gradients",
        "balanced off",
        "coverage off",
        "maxherding off",
        "dropquery off",
        "typiclust off",
        "tcm off",
    }


def test_strategies_named_for_an_uncertainty_use_it():
    assert {strategy.uncertainty for strategy in VARIANTS.values()} == {"", "confidence", "margin", "entropy"}


def test_a_strategy_whose_library_is_missing_says_so(monkeypatch):
    monkeypatch.setitem(STRATEGIES, "coreset", Strategy(random_sampling.query, library="skactiveml"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        StrategyError, match=r"coreset needs scikit-activeml, which is not installed: pip install scikit-"
    ):
        find("coreset", diversity="off", dense=False)


# Strategies of other packages


def test_a_function_of_another_package_is_a_strategy(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "hardest_1", "def query(candidates, n):\n    return candidates.rank.argsort()[:n]")
    assert names() == (*STRATEGIES, "hardest_1")
    found = find("hardest_1", diversity="coverage", dense=True)
    assert found.needs_embeddings and not found.batches and not found.at_once
    images = sample()
    assert images.rank[found.query_of(0)(images, 4)].tolist() == [0, 1, 2, 3]


def test_another_package_may_describe_its_strategy(tmp_path, monkeypatch):
    source = (
        "from pt4al_backend.sampling.strategy import Strategy\n"
        "query = Strategy(lambda candidates, n: candidates.most_uncertain_first(), batches=True, at_once=True)"
    )
    install(tmp_path, monkeypatch, "unsure_2", source)
    found = find("unsure_2", diversity="off", dense=False)
    assert found.batches and found.at_once and not found.needs_embeddings


@pytest.mark.parametrize(
    ("name", "source", "says"),
    [
        ("broken_3", "import nothing_of_that_name", r"cannot be imported \(ModuleNotFoundError: No module named"),
        ("broken_4", "raise RuntimeError('no licence')", r"cannot be imported \(RuntimeError: no licence\)"),
        ("broken_5", "def wrong(", r"cannot be imported \(SyntaxError"),
        ("broken_6", "other = 1", r"cannot be imported \(AttributeError"),
        ("broken_7", "query = 3", r"is neither a function query\(candidates, n\) nor a Strategy \(broken_7:query\)"),
    ],
)
def test_a_package_that_cannot_be_used_stops_nothing_else(tmp_path, monkeypatch, name, source, says):
    install(tmp_path, monkeypatch, name, source)
    assert name in names() and name not in sys.modules
    assert find("random", diversity="off", dense=False) is STRATEGIES["random"]
    with pytest.raises(StrategyError, match=f"The strategy {name} of the package {name} {says}"):
        find(name, diversity="off", dense=False)


def test_another_package_does_not_replace_one_of_ours(tmp_path, monkeypatch):
    install(tmp_path, monkeypatch, "random", "def query(candidates, n):\n    raise RuntimeError")
    assert names() == tuple(STRATEGIES)
    assert find("random", diversity="off", dense=False) is STRATEGIES["random"]


def test_the_error_about_an_unknown_name_lists_the_known_ones():
    with pytest.raises(StrategyError, match="There is no strategy rondom: choose one of pt4al, balanced, "):
        find("rondom", diversity="off", dense=False)


def test_the_example_in_the_docstring_works(tmp_path, monkeypatch):
    text = strategies.__doc__ or ""
    source = text[text.index("    def query(") :].split("\n\n")[0]
    install(tmp_path, monkeypatch, "hardest_8", "\n".join(line[4:] for line in source.splitlines()))
    images = sample(not_open=range(0, M, 4))
    check(find("hardest_8", diversity="off", dense=False).query, images, 10)
