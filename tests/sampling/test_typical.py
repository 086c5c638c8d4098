import numpy as np
from support.candidates import alike, candidates, scattered

from pt4al_backend.sampling import typical


def test_one_image_of_each_group_the_largest_group_first():
    groups = np.repeat([0, 1, 2, 3], [25, 60, 5, 10])
    embeddings = np.concatenate([alike(size, seed=seed) for seed, size in enumerate([25, 60, 5, 10])])
    assert groups[typical.query(candidates(embeddings), 4)].tolist() == [1, 0, 3, 2]


def test_uncertainty_does_not_matter():
    embeddings, unsure = scattered(40), np.random.default_rng(0).random(40)
    assert (
        typical.query(candidates(embeddings), 9).tolist()
        == typical.query(candidates(embeddings, uncertainty=unsure), 9).tolist()
    )
