from typing import get_args

import pytest

from pt4al_backend.sampling.orders import OLDER_NAMES, Order, current_name


@pytest.mark.parametrize("order", get_args(Order))
def test_current_names_stay(order: str) -> None:
    assert current_name(order) == order


def test_older_names_keep_their_meaning() -> None:
    assert current_name("dealt") == "round_robin"
    assert current_name("bandit") == "hard_first"  # it cut batches like this; its choice is now a strategy
    assert not OLDER_NAMES.keys() & get_args(Order)
    assert set(OLDER_NAMES.values()) <= set(get_args(Order))
