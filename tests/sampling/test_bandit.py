"""The bandit draws the batch with most errors, but never settles for good."""

from collections import Counter

import numpy as np
import pytest
from support.candidates import batches_of_ten

from pt4al_backend.sampling import badge, bandit, coverage, evenly_spaced, pt4al, uncertainty_sampling
from pt4al_backend.sampling.bandit import draw

ARMS = np.arange(3)


def drawn(batch, wrong, *, arms=ARMS, memory=1000, draws=400):
    """How often each arm is drawn."""
    return Counter(draw(np.array(batch), np.array(wrong), arms=arms, memory=memory, seed=[0, k]) for k in range(draws))


def test_without_evidence_every_arm_has_a_chance():
    often = drawn([], [])
    assert all(100 < often[arm] < 170 for arm in ARMS)


def test_the_arm_with_most_mistakes_is_drawn_most():
    often = drawn([0] * 50 + [1] * 50 + [2] * 50, [0.1] * 50 + [0.9] * 50 + [0.5] * 50)
    assert often[1] > 390


def test_a_short_memory_goes_on_exploring():
    batch, wrong = [0] * 500 + [1] * 500 + [2] * 500, [0.4] * 500 + [0.6] * 500 + [0.4] * 500
    assert drawn(batch, wrong, memory=10_000)[1] == 400
    often = drawn(batch, wrong, memory=15)
    assert often[1] > often[0] > 20 and often[1] > often[2] > 20


def test_only_arms_with_open_images_are_drawn():
    assert set(drawn([0] * 50, [1.0] * 50, arms=np.array([1, 2]))) == {1, 2}


def test_a_seed_decides():
    assert drawn([0, 1], [0.0, 1.0]) == drawn([0, 1], [0.0, 1.0])


@pytest.mark.parametrize("within", [evenly_spaced, uncertainty_sampling, coverage, badge])
@pytest.mark.parametrize("wrong", [0, 2])
def test_the_query_is_that_of_the_batch_that_is_drawn(within, wrong):
    images = batches_of_ten(wrong=wrong)
    members = np.flatnonzero(images.batch == wrong)
    query = bandit.query(images, 5, within=within.query)
    assert query.tolist() == members[images[members].serving_order(within.query(images[members], 5))].tolist()


def test_within_a_batch_it_chooses_as_pt4al_does() -> None:
    images = batches_of_ten(wrong=2)
    for diversity in ("off", "coverage", "gradients"):
        for dense in (False, True):
            chosen, usual = bandit.variant(diversity, dense), pt4al.variant(diversity, dense)
            assert chosen.at_once and not chosen.batches
            assert chosen.needs_embeddings == usual.needs_embeddings
            for number in (0, 1):
                expected = bandit.query(images, 5, within=usual.query_of(number))
                assert chosen.query_of(number)(images, 5).tolist() == expected.tolist()
