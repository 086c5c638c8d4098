import numpy as np
import pytest
from support.groups import GROUPS, LABELLED, SKIPPED, WANTED, WIDTH, N, embeddings, grouped

from pt4al_backend.sampling import coreset

pytest.importorskip("skactiveml")


def test_it_prefers_unlabelled_groups():
    labelled = np.flatnonzero(np.arange(N) % GROUPS < 2)[::3]
    query = coreset.query(grouped(embeddings(), labelled=labelled), 2)
    assert sorted((query % GROUPS).tolist()) == [2, 3]


def test_a_fully_labelled_group_is_ignored():
    query = coreset.query(grouped(embeddings(), labelled=np.arange(0, N - 40, GROUPS), skipped=SKIPPED[:0]), 9)
    assert (query % GROUPS == 0).mean() < 0.5


def test_embeddings_in_other_units_count_as_much():
    units = np.geomspace(0.01, 100, WIDTH).astype(np.float32)
    plain, scaled = (coreset.query(grouped(features), WANTED) for features in (embeddings(), embeddings() * units))
    assert len(set(plain.tolist()) & set(scaled.tolist())) > WANTED * 0.7  # rounding may change single picks


def test_before_the_first_label_every_group_is_in_the_query():
    query = coreset.query(grouped(embeddings(), labelled=LABELLED[:0]), WANTED)
    assert set((query % GROUPS).tolist()) == set(range(GROUPS))
