import numpy as np

from pt4al_backend.sampling.strategy import Strategy


def one(candidates, n):
    return np.arange(0)


def other(candidates, n):
    return np.arange(0)


def test_round_0_may_have_a_function_of_its_own():
    strategy = Strategy(one, first=other)
    assert [strategy.query_of(number) for number in range(3)] == [other, one, one]


def test_otherwise_all_rounds_use_the_same_function():
    assert [Strategy(one).query_of(number) for number in range(3)] == [one, one, one]
