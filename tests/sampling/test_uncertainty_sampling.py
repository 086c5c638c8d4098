import numpy as np
from support.candidates import candidates

from pt4al_backend.sampling import uncertainty_sampling


def test_the_most_uncertain_come_first_even_if_they_are_similar():
    unsure = np.concatenate([np.full(50, 0.9), np.linspace(0.1, 0.6, 150)])
    query = uncertainty_sampling.query(candidates(n=200, uncertainty=unsure, not_open=[3]), 10)[:10]
    assert query.tolist() == [0, 1, 2, *range(4, 11)]
