import numpy as np
import pytest
from support.groups import GROUPS, LABELLED, SKIPPED, WANTED, WIDTH, N, embeddings, grouped

from pt4al_backend.sampling import typiclust

pytest.importorskip("skactiveml")


def test_a_fully_labelled_group_is_ignored():
    query = typiclust.query(grouped(embeddings(), labelled=np.arange(0, N - 40, GROUPS), skipped=SKIPPED[:0]), 9)
    assert (query % GROUPS == 0).mean() < 0.5


def test_embeddings_in_other_units_count_as_much():
    units = np.geomspace(0.01, 100, WIDTH).astype(np.float32)
    plain, scaled = (typiclust.query(grouped(features), WANTED) for features in (embeddings(), embeddings() * units))
    assert len(set(plain.tolist()) & set(scaled.tolist())) > WANTED * 0.7  # rounding may change single picks


def test_before_the_first_label_every_group_is_in_the_query():
    query = typiclust.query(grouped(embeddings(), labelled=LABELLED[:0]), WANTED)
    assert set((query % GROUPS).tolist()) == set(range(GROUPS))


def test_another_seed_gives_another_query():
    one, two = (typiclust.query(grouped(embeddings(), seed=seed), WANTED).tolist() for seed in (0, 1))
    assert one != two


@pytest.mark.parametrize("left", [1, 2, 5])
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_the_last_images_of_a_pool(left, seed):
    labelled = np.random.default_rng(seed).permutation(N)[left:]
    images = grouped(embeddings(), labelled=labelled, skipped=SKIPPED[:0], seed=seed)
    assert (
        sorted(images.serving_order(typiclust.query(images, WANTED)).tolist()) == np.flatnonzero(images.open).tolist()
    )
