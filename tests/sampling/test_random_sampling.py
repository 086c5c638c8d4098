from dataclasses import replace

import numpy as np
from support.candidates import candidates

from pt4al_backend.sampling import random_sampling


def test_only_the_random_key_decides():
    images = replace(candidates(n=4, uncertainty=[1, 0, 1, 0], not_open=[3]), random_key=np.array([0.7, 0.2, 0.4, 0.1]))
    assert random_sampling.query(images, 2).tolist() == [1, 2, 0]
